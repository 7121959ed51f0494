//! The operator at teams of NICs: what the shell shows of them, and changes while frames pass.

use crate::shell::{command, enter_shell};
use crate::trial_needing;
use end_to_end::artifacts;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 1);
const SOURCE_MAC: &str = "52:54:00:00:01:02";
const ECHO_MAC: &str = "52:54:00:00:01:03";
const COUNT: u32 = 60_000;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Cable, Need::Nics(2)];
    vec![
        trial_needing(backend, &needs[1..], "the_operator_steers_a_team_and_no_frame_is_lost", steer),
        trial_needing(backend, &needs, "the_operator_sees_what_a_team_lacks_and_loses", lacks),
    ]
}

/// A VM that sends numbered datagrams to the peer, and one that only waits, on a team of two NICs of which the first
/// carries all.
fn steer(test: &Test) -> Outcome {
    let source = format!("ip=10.0.5.2 peer={PEER} count={COUNT} window=64");
    let vms = vec![
        VmSpec::micro("source", "nic_blast", &source)?.nic_in("lan", SOURCE_MAC),
        VmSpec::micro("echo", "nic_echo", "ip=10.0.5.3")?.nic_in("lan", ECHO_MAC),
    ];
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[EmulatedNicModel::E1000, EmulatedNicModel::E1000])
        .team("lan", &["nics = [\"nic0\", \"nic1\"]", "policy = \"order\""]);
    let mut run = Run::start(test, &scenario)?;
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    run.expect("source| sent 6000 of")?;
    enter_shell(&mut run)?;
    look(&mut run)?;
    change(&mut run)?;
    watch(&mut run)?;
    let sent = run.console.count("source| PASS");
    require!(sent == 0, "the datagrams were all sent before the operator had done everything");
    run.expect("source| PASS")?;
    let count = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(count == COUNT, "{count} datagrams have arrived");
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")?;
    replay(&run)
}

/// The tool decides as the machine has, by what the operator has recorded of it on the serial line.
fn replay(run: &Run) -> Outcome {
    let log = run.folder().join("serial.log");
    let output =
        Command::new(artifacts::boot_tool()?).arg("replay").arg(log).output().context("starting boot")?;
    let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    require!(output.status.success(), "boot replay: {errors}");
    let known = ["operator: nic0 drain", "operator: policy ip-hash", "operator: nic1 down"];
    let missing: Vec<_> = known.into_iter().filter(|event| !said.contains(event)).collect();
    require!(missing.is_empty(), "the history lacks {missing:?}");
    let same = said.lines().last().is_some_and(|line| line.ends_with(" of team lan: the same decisions"));
    require!(same, "boot replay does not say that the decisions are the same: {:?}", said.lines().last());
    Ok(())
}

/// A team of two NICs whose third one is not in the machine; then the operator takes out both.
fn lacks(test: &Test) -> Outcome {
    let vms = vec![VmSpec::micro("echo", "nic_echo", "ip=10.0.5.3")?.nic_in("lan", ECHO_MAC)];
    let third = ["nics = [\"nic0\", \"nic1\"]", "unused = [\"nic2\"]", "\n[[nic]]", "name = \"nic2\""];
    let scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(2), &[EmulatedNicModel::E1000, EmulatedNicModel::E1000])
        .team("lan", &third);
    let mut run = Run::start(test, &scenario)?;
    run.allow("nic2: no physical NIC found");
    run.expect("echo| READY")?;
    enter_shell(&mut run)?;
    for (word, row) in [
        ("net nics", "nic2             -       -       -                 missing   down"),
        ("net team lan", "nic2             unused  down    -       0        0        0      -  missing"),
        ("net vms", "echo             0    52:54:00:00:01:03 lan              up"),
    ] {
        command(&mut run, word, row)?;
    }
    for (nic, answer) in [("nic0", "team lan: "), ("nic1", "lan: no usable NIC is left: its guests lose ")] {
        run.console.type_text(&format!("net nic {nic} down\r"))?;
        run.expect(&format!("weir| {answer}"))?;
        run.expect("weir> ")?;
    }
    run.console.type_text("net teams\r")?;
    run.expect("nic0 active (operator: down), nic1 active (operator: down), nic2 unused (missing)\r\n")?;
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}

/// What is shown of the team.
fn look(run: &mut Run) -> Outcome {
    command(run, "net teams", "lan              order   up       2      0 ")?;
    command(run, "net team lan", "lan: policy order, failback always, ")?;
    command(run, "net why source", "result: nic0, where it is at home")?;
    command(run, "net why source 10.0.5.1", "else: nic1, if nic0 failed")?;
    let local = format!("source/0: the frame does not leave the machine: {ECHO_MAC} is at echo/0");
    command(run, &format!("net why source {ECHO_MAC}"), &local)?;
    command(run, "net team wan", "unknown word \"wan\": expected lan\r\n")?;
    let text = run.console.text();
    let row = text.lines().rfind(|line| line.starts_with("weir| nic0 ")).unwrap_or_default();
    require!(row.contains("active  up   1000       2 ") && row.contains("in use"), "no such NIC: {row}");
    Ok(())
}

/// What is changed while frames pass.
fn change(run: &mut Run) -> Outcome {
    command(run, "net nic nic0 drain", "failover lan: nic0 -> nic1 cause=operator moved=2 ")?;
    run.console.type_text("net teams\r")?;
    run.expect("  nic0 active (operator: drain), nic1 active in use\r\n")?;
    run.expect("weir> ")?;
    command(run, "net why source", "result: nic1, where it is at home\r\n")?;
    command(run, "net nic nic0 up", "failback lan: nic0 is used again, moved=2\r\n")?;
    command(run, "net policy lan ip-hash", "team lan: policy ip-hash, moved=")?;
    command(run, "net why source", "source/0: by ip-hash the NIC depends on the destination: name one\r\n")?;
    command(run, "net why source 10.0.5.1", "source/0: from 10.0.5.2, its last address, to 10.0.5.1\r\n")?;
    command(run, "net policy lan load", "team lan: policy load, moved=")?;
    command(run, "net nic nic1 down", "team lan: ")?;
    command(run, "net events", "[")?;
    let text = run.console.text();
    let decided = text.lines().filter(|line| line.starts_with("weir| [")).count();
    require!(decided >= 6, "{decided} events are shown");
    let is_whole = |line: &str| {
        line.contains("failover lan: nic0 -> nic1") && line.contains(" took=") && line.contains(" lost=0")
    };
    require!(text.lines().any(|line| line.starts_with("weir| [") && is_whole(line)), "no failover is shown");
    run.console.type_text("net events raw\r")?;
    run.expect("weir| history lan: version ")?;
    run.expect("weir| history lan: end, crc ")?;
    Ok(())
}

/// The live view, in place and line by line.
fn watch(run: &mut Run) -> Outcome {
    for word in ["net top", "net top plain"] {
        run.console.type_text(&format!("{word}\r"))?;
        for _ in 0..3 {
            run.expect(
                "weir| NIC          state     link  b/s out  b/s in f/s out  f/s in  drops errors\r\n",
            )?;
            run.expect("weir| nic0         ready     up ")?;
            run.expect("weir| source/0     nic0      up ")?;
            run.expect("weir| any key ends this")?;
        }
        run.console.type_text("q")?;
        run.expect("weir> ")?;
    }
    require!(run.console.count("\x1b[J") > 0, "no picture has taken the place of another");
    Ok(())
}
