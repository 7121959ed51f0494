//! The operator at the serial line: consoles, and scripted sessions in the shell.

use crate::misbehaviour::stop;
use crate::trial;
use end_to_end::failure::ErrorContext;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, debug, require, traffic};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);
const FIRST_MAC: &str = "52:54:00:00:01:02";
const SECOND_MAC: &str = "52:54:00:00:01:03";
/// Ctrl-^.
const ESCAPE: &str = "\x1e";
/// Timeout for a ping that must not be answered.
const SILENCE: Duration = Duration::from_secs(2);
/// Timeout for the answer to a datagram; the host may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A port for which `nic_echo` prints a line.
const ODD_PORT: u16 = 5;
/// A number of lines that overflows a guest's backlog of 8 KiB.
const MANY: u32 = 432;

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial(backend, "the_shell_pauses_and_resumes_a_guest_with_its_network", pause_and_resume),
        trial(backend, "a_console_shows_what_its_guest_wrote_meanwhile", consoles),
        trial(backend, "the_shell_explains_errors_and_completes_words", errors),
        trial(backend, "the_counters_in_the_shell_are_those_of_the_guests", counters),
        trial(backend, "the_operator_stops_and_starts_guests_and_powers_off", life),
        trial(backend, "the_operator_presses_a_guests_power_button", button),
        trial(backend, "the_operator_reboots_the_machine", reboot),
    ]
}

/// Two guests on the wire, of which the first has the keyboard.
fn two_echoes(test: &Test) -> Outcome<Run> {
    let vms = vec![
        VmSpec::micro("left", "nic_echo", &format!("ip={FIRST}"))?.nic(FIRST_MAC),
        VmSpec::micro("right", "nic_echo", &format!("ip={SECOND}"))?.nic(SECOND_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.expect("left has the keyboard; Ctrl-^")?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    require!(answers(FIRST, STEP)? && answers(SECOND, STEP)?, "a guest does not answer");
    Ok(run)
}

/// Types a command into the shell and waits for a text of its answer.
pub fn command(run: &mut Run, command: &str, answer: &str) -> Outcome<String> {
    run.console.type_text(&format!("{command}\r"))?;
    run.expect(&format!("{command}\r\n"))?;
    let line = run.expect(&format!("weir| {answer}"))?;
    run.expect("weir> ")?;
    Ok(line)
}

pub fn enter_shell(run: &mut Run) -> Outcome {
    run.console.type_text(ESCAPE)?;
    run.expect("weir> ").map(drop)
}

fn pause_and_resume(test: &Test) -> Outcome {
    let mut run = two_echoes(test)?;
    enter_shell(&mut run)?;
    command(&mut run, "vm list", "VM               state ")?;
    command(&mut run, "vm pause right", "right: paused\r\n")?;
    command(&mut run, "vm list", "right            paused ")?;
    let tally = ping(SECOND, 2, 56, SILENCE)?;
    require!(tally.missed.len() == 2, "a paused guest answers: {tally:?}");
    let tally = ping(FIRST, 3, 56, STEP)?;
    require!(tally.missed.is_empty(), "beside a paused guest: {tally:?}");
    command(&mut run, "vm pause right", "right: no pause: it is paused\r\n")?;
    command(&mut run, "vm resume left", "left: no resume: it is not paused\r\n")?;
    command(&mut run, "vm resume right", "right: ")?;
    require!(answers(SECOND, STEP)?, "no answer after the pause");
    let tally = ping(SECOND, 5, 200, STEP)?;
    require!(tally.missed.is_empty(), "after the pause: {tally:?}");
    stop(FIRST)?;
    stop(SECOND)?;
    run.finish()
}

fn consoles(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("one", "talk", "")?,
        VmSpec::micro("two", "talk", "")?,
        VmSpec::micro("net", "nic_echo", &format!("ip={SECOND}"))?.nic(SECOND_MAC),
    ];
    let mut scenario = Scenario::new(vms);
    // Some of the guests run on another processor than the shell.
    scenario.machine.cpus = 2;
    let mut run = Run::start(test, &scenario)?;
    for _ in 0..3 {
        run.expect("READY")?;
    }
    // To the end of the last line.
    run.expect("\n")?;
    // Only the guest with the keyboard may control the terminal.
    require!(run.console.count("one| \x1b[1mREADY\x1b[0m\n") == 1, "the first guest's line is not bold");
    require!(run.console.count("two| READY\n") == 1, "the second guest's line is not plain");
    run.console.type_text("hello\n")?;
    run.expect("one| HEARD hello")?;

    enter_shell(&mut run)?;
    run.console.type_text("console two\rthere\n")?;
    run.expect("weir| two (")?;
    run.expect("two| \x1b[1mREADY")?;
    run.expect("two| HEARD there")?;

    let before = run.console.text().len();
    talk_of_odd_port(SECOND)?;
    run.console.type_text("quiet\n")?;
    run.expect("two| HEARD quiet")?;
    let since = run.console.text().split_off(before);
    require!(!since.contains("net| "), "a guest that is not selected was shown: {since}");

    enter_shell(&mut run)?;
    run.console.type_text("console net all\r")?;
    run.expect("weir| net (")?;
    run.expect("weir| net: ")?;
    run.expect(" more bytes of output were not kept")?;
    run.expect("net| a datagram to port 5")?;
    // Typed twice, the escape key reaches the guest, which keeps the keyboard.
    enter_shell(&mut run)?;
    let lines = run.console.count("net| a datagram to port 5\n");
    // 8 KiB in lines of 21 bytes.
    require!((300..MANY as usize).contains(&lines), "{lines} lines were shown");
    run.console.type_text("console one all\r")?;
    run.expect("weir| one (")?;
    run.console.type_text(&format!("{ESCAPE}{ESCAPE}x\n"))?;
    run.expect("one| HEARD \\x1ex")?;
    stop(SECOND)?;
    run.expect("net| PASS nic_echo")?;
    for vm in ["one", "two"] {
        enter_shell(&mut run)?;
        run.console.type_text(&format!("console {vm}\rend\n"))?;
        run.expect(&format!("{vm}| PASS talk"))?;
    }
    run.finish()
}

/// Makes a `nic_echo` guest write many lines, and waits until it has.
fn talk_of_odd_port(guest: Ipv4Addr) -> Outcome {
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.set_read_timeout(Some(debug::timeout(ANSWER_TIMEOUT))).context("UDP timeout")?;
    for number in 1..=MANY {
        socket.send_to(b"?", (guest, ODD_PORT)).context("sending a datagram")?;
        // No faster than the guest writes.
        if number % 16 == 0 {
            socket.send_to(b"!", (guest, 7)).context("sending a datagram")?;
            traffic::receive(&socket, &mut [0; 16]).context("waiting for an answer")?;
        }
    }
    Ok(())
}

fn errors(test: &Test) -> Outcome {
    let mut run = two_echoes(test)?;
    enter_shell(&mut run)?;
    command(
        &mut run,
        "shutdown",
        "unknown word \"shutdown\": expected help, vm, console, net, stats, log, reboot, poweroff\r\n",
    )?;
    command(&mut run, "vm stop rihgt", "unknown word \"rihgt\": expected left, right\r\n")?;
    command(
        &mut run,
        "net",
        "\"net\" is incomplete: expected nics, vms, teams, team, why, events, policy, nic, top\r\n",
    )?;
    command(&mut run, "help", "vm restart VM          power a VM off and boot it again\r\n")?;
    command(&mut run, "log", "[")?;
    // Tab completes, backspace and Ctrl-U erase, Ctrl-C cancels, the up arrow recalls.
    run.console.type_text("con\tl\t\r")?;
    run.expect("console left \r\n")?;
    run.expect("weir| left (")?;
    enter_shell(&mut run)?;
    run.console.type_text("vm stop left\x15net vmx\x7fs\r")?;
    run.expect("weir| VM               vNIC ")?;
    run.expect("weir> ")?;
    run.console.type_text("poweroff\x03")?;
    run.expect("poweroff^C\r\nweir> ")?;
    run.console.type_text("\x1b[A\r")?;
    run.expect("net vms\r\nweir| VM               vNIC ")?;
    run.expect("weir> ")?;
    run.console.type_text("vm s\t\t")?;
    run.expect("weir| status  start  stop\r\nweir> vm st")?;
    run.console.type_text("\x15\x04")?;
    // Ctrl-D returned to the guest's console.
    stop(FIRST)?;
    run.expect("left| PASS nic_echo")?;
    stop(SECOND)?;
    run.finish()
}

fn counters(test: &Test) -> Outcome {
    let mut run = two_echoes(test)?;
    let tally = ping(SECOND, 5, 100, STEP)?;
    require!(tally.missed.is_empty(), "{tally:?}");
    let socket = UdpSocket::bind("10.0.5.1:0").context("binding a UDP socket")?;
    socket.send_to(b"counters", (SECOND, 9)).context("sending a datagram")?;
    let own = run.expect("right| COUNTERS ")?;
    // The beginning of the line may be received before the rest.
    run.expect(" broken=")?;
    let own =
        run.console.text().lines().rfind(|line| line.contains("right| COUNTERS ")).unwrap_or(&own).to_owned();
    enter_shell(&mut run)?;
    let (received, sent) = (number(&own, "received=")?, number(&own, "sent=")?);
    let row = format!(
        "right            0    {SECOND_MAC} nic0             up   {sent:>9} {received:>9}      0    3\r\n"
    );
    command(&mut run, "net vms", "VM               vNIC MAC               uplink           link        tx")?;
    run.console.type_text("net vms\r")?;
    run.expect(&row)?;
    command(&mut run, "net nics", "nic0             00:")?;
    command(&mut run, "stats", "memory ")?;
    command(&mut run, "stats right", "exits ")?;
    let text = run.console.text();
    let nic = text.lines().rfind(|line| line.starts_with("weir| nic0 ")).unwrap_or_default();
    require!(nic.contains(" e1000 ") && nic.contains(" ready     up   1000 "), "no such NIC: {nic}");
    for wanted in [
        "weir| left: starts 1, ran ",
        "weir| right: starts 1, ran ",
        "weir| serial line: lines lost 0, overruns of typed bytes 0",
    ] {
        require!(text.contains(wanted), "\"{wanted}\" is missing");
    }
    stop(FIRST)?;
    stop(SECOND)?;
    run.finish()
}

/// The number after a key.
fn number(line: &str, key: &str) -> Outcome<u64> {
    let rest = line.split_once(key).map_or("", |(_, rest)| rest);
    let digits = rest.split_once(' ').map_or(rest, |(digits, _)| digits);
    digits.parse().map_err(|_| end_to_end::Failure::Wrong(format!("no number after {key} in {line}")))
}

fn life(test: &Test) -> Outcome {
    let mut run = two_echoes(test)?;
    enter_shell(&mut run)?;
    command(&mut run, "vm start left", "left: no start: it is ")?;
    command(&mut run, "vm stop left", "left: stopped\r\n")?;
    command(&mut run, "vm pause left", "left: no pause: it is stopped\r\n")?;
    let tally = ping(SECOND, 3, 56, STEP)?;
    require!(tally.missed.is_empty(), "beside a stopped guest: {tally:?}");
    require!(ping(FIRST, 1, 56, SILENCE)?.missed.len() == 1, "a stopped guest answers");
    command(&mut run, "vm start left", "left: ")?;
    require!(answers(FIRST, STEP)?, "no answer after the start");
    command(&mut run, "vm restart right", "right: ")?;
    require!(answers(SECOND, STEP)?, "no answer after the restart");
    // The output from before the restart is still kept.
    run.console.type_text("console right\r")?;
    run.expect("weir| right (")?;
    run.expect("right| READY")?;
    run.expect("right| READY")?;
    enter_shell(&mut run)?;
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}

fn button(test: &Test) -> Outcome {
    let mut run = Run::start(test, &Scenario::new(vec![VmSpec::micro("one", "wake_events", "")?]))?;
    run.expect("one| READY")?;
    enter_shell(&mut run)?;
    command(&mut run, "vm button one", "one: running\r\n")?;
    run.console.type_text("console one\r")?;
    run.expect("one| PASS wake_events")?;
    run.finish()
}

fn reboot(test: &Test) -> Outcome {
    let mut scenario = Scenario::new(vec![VmSpec::micro("one", "talk", "")?]);
    scenario.machine.resets = true;
    let mut run = Run::start(test, &scenario)?;
    run.expect("one| ")?;
    run.expect("talk# ")?;
    enter_shell(&mut run)?;
    run.console.type_text("reboot\r")?;
    run.expect("resetting (operator request)")?;
    run.console.machine_reboots();
    run.expect("boot: Weir ")?;
    run.expect("talk# ")?;
    run.console.type_text("end\n")?;
    run.expect("one| PASS talk")?;
    run.finish()
}
