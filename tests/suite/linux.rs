//! Debian's kernel, unmodified: one boot for many checks, since a boot takes an emulator minutes.

use crate::trial;
use end_to_end::failure::Context;
use end_to_end::initramfs::Entry;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::{STEP, folder};
use end_to_end::traffic::{self, PORT};
use end_to_end::{Failure, Outcome, Run, Scenario, Vm, require};
use libtest_mimic::Trial;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 11);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 12);
const PEER: &str = "10.0.5.1";
const GUEST_MAC: &str = "52:54:00:05:00:11";
const OTHER_MAC: &str = "52:54:00:05:00:12";
/// Six thousand million instructions, on a busy machine.
const BOOT: Duration = Duration::from_secs(1200);
/// For a step that moves megabytes.
const TRANSFER: Duration = Duration::from_secs(900);
const TCP_BYTES: usize = 4 << 20;
const DATAGRAMS: u32 = 10_000;
/// Datagrams on their way at a time: what a socket of the guest holds by default, 208 KiB, at 2.7 KiB each.
const WINDOW: u32 = 64;

/// Warnings that the same kernel prints without Weir as well: on QEMU 7.2 (`-M pc`), and on Bochs 2.7 with this
/// processor model.
const PLAIN_WARNINGS: [&str; 3] = [
    "tsc: Unable to calibrate against PIT",
    "fail to add MMCONFIG information, can't access extended PCI",
    "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
];

/// Steps of the run with one guest, in order. Each leaves the network as it found it.
const STEPS: [(&str, Step); 10] = [
    ("linux_boots_to_a_shell", boots_to_a_shell),
    ("linux_prints_no_warning_of_its_own", prints_no_warning),
    ("linux_probes_the_e1000", probes_the_card),
    ("linux_and_the_wire_ping_each_other", pings),
    ("linux_tcp_keeps_4_mib_each_way", tcp),
    ("linux_udp_arrives_once_whole_in_order", udp),
    ("linux_sends_jumbo_frames", jumbo_frames),
    ("linux_sets_the_link_down_and_up_20_times", link_down_and_up),
    ("linux_reloads_the_driver", reloads_the_driver),
    ("linux_powers_off", powers_off),
];

type Step = fn(&mut Run) -> Outcome;
type Results = BTreeMap<&'static str, Result<(), String>>;

pub fn trials() -> Vec<Trial> {
    static RESULTS: OnceLock<Results> = OnceLock::new();
    // The steps wait for one run: beside it there is a core for the run with two guests, which comes first.
    let two = trial("two_linux_guests_and_the_wire_talk_to_each_other", two_guests);
    let steps = STEPS.iter().map(|&(name, _)| {
        Trial::test(format!("bochs-vtx::{name}"), move || {
            Ok(RESULTS
                .get_or_init(run_steps)
                .get(name)
                .cloned()
                .unwrap_or_else(|| Err("not reached".into()))?)
        })
    });
    std::iter::once(two).chain(steps).collect()
}

/// Runs all steps in one boot; after one that fails the others are tried all the same.
fn run_steps() -> Results {
    let mut results = Results::new();
    let mut run = match start("linux", &["linux"]) {
        Ok(run) => run,
        Err(failure) => {
            results.insert(STEPS[0].0, Err(failure.to_string()));
            return results;
        }
    };
    for (name, step) in STEPS {
        let result = step(&mut run);
        let broken = result.is_err() && name == STEPS[0].0;
        results.insert(
            name,
            result.map_err(|failure| format!("{failure}\n{}", end_to_end::run::tail("linux", 40))),
        );
        if broken {
            break;
        }
    }
    results
}

/// Starts one or two Linux guests, of which the first has the keyboard.
fn start(name: &str, guests: &[&str]) -> Outcome<Run> {
    let folder = folder(name)?;
    let files = [Entry { path: "tests/serve", contents: SERVE }];
    let vms = guests
        .iter()
        .zip([(GUEST, GUEST_MAC, ""), (OTHER, OTHER_MAC, " weir.mtu=9000 weir.run=serve")])
        .map(|(name, (ip, mac, more))| {
            let command_line = format!("console=ttyS0,115200 weir.ip={ip}/24{more}");
            Vm::linux(name, &command_line)?.with_files(&folder, &files).map(|vm| vm.nic(mac))
        })
        .collect::<Outcome<Vec<_>>>()?;
    let mut scenario = Scenario::new(vms);
    scenario.machine.memory = 768;
    Run::start_in(folder, &scenario)
}

/// The second guest: takes a file over TCP, says its sum, and takes datagrams.
const SERVE: &[u8] = b"nc -l -p 6002 | sha256sum\nweir-traffic sink\n";

fn boots_to_a_shell(run: &mut Run) -> Outcome {
    run.expect_within("weir guest: up", BOOT)?;
    run.expect("/ # ")?;
    run.shell("linux", "true", STEP).map(drop)
}

fn prints_no_warning(run: &mut Run) -> Outcome {
    let shown = run.shell("linux", "dmesg -r | grep '^<[0-4]>' || true", STEP)?;
    let own: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with('<') && !PLAIN_WARNINGS.iter().any(|plain| line.contains(plain)))
        .collect();
    require!(own.is_empty(), "{}", own.join("\n"));
    Ok(())
}

fn probes_the_card(run: &mut Run) -> Outcome {
    let shown = run.shell("linux", "dmesg | grep e1000", STEP)?;
    for text in [GUEST_MAC, "Intel(R) PRO/1000 Network Connection", "NIC Link is Up 1000 Mbps Full Duplex"] {
        require!(shown.contains(text), "\"{text}\" is missing in: {shown}");
    }
    Ok(())
}

fn pings(run: &mut Run) -> Outcome {
    ping_out(run)?;
    for size in [0, 56, 1472] {
        let tally = ping(GUEST, 5, size, STEP)?;
        require!(tally.missed.is_empty(), "from the wire, {size} bytes: {tally:?}");
    }
    Ok(())
}

/// The guest pings the peer; its own time-out is in emulated time, which stands still for nobody, so one of several
/// answers is enough here. That none is lost is tested from the wire.
fn ping_out(run: &mut Run) -> Outcome {
    run.shell("linux", &format!("ping -c 5 {PEER}"), STEP).map(drop)
}

fn tcp(run: &mut Run) -> Outcome {
    let listener = TcpListener::bind((PEER, 6000)).context("listening")?;
    let receiver = thread::spawn(move || take(&listener));
    run.shell("linux", &format!("head -c {TCP_BYTES} /dev/urandom > /tmp/a"), TRANSFER)?;
    run.shell("linux", &format!("nc {PEER} 6000 < /tmp/a"), TRANSFER)?;
    let received = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(received.len() == TCP_BYTES, "{} of {TCP_BYTES} bytes came", received.len());
    let shown = run.shell("linux", "sha256sum /tmp/a", TRANSFER)?;
    require!(
        shown.contains(&sum(&received)),
        "to the wire, the sum is {}, the guest's: {shown}",
        sum(&received)
    );

    let sent: Vec<u8> =
        (0..TCP_BYTES as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = sum(&sent);
    let listener = TcpListener::bind((PEER, 6001)).context("listening")?;
    let sender = thread::spawn(move || give(&listener, &sent));
    run.shell("linux", &format!("nc {PEER} 6001 </dev/null >/tmp/b"), TRANSFER)?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    let shown = run.shell("linux", "sha256sum /tmp/b; rm /tmp/a /tmp/b", TRANSFER)?;
    require!(shown.contains(&expected), "from the wire, the sum is {expected}, the guest's: {shown}");
    Ok(())
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn take(listener: &TcpListener) -> Outcome<Vec<u8>> {
    let (mut stream, _) = listener.accept().context("accepting")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("receiving")?;
    Ok(bytes)
}

fn give(listener: &TcpListener, bytes: &[u8]) -> Outcome {
    let (mut stream, _) = listener.accept().context("accepting")?;
    stream.write_all(bytes).context("sending")
}

fn udp(run: &mut Run) -> Outcome {
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let taker = thread::spawn(move || traffic::sink(&socket));
    run.shell("linux", &format!("weir-traffic blast {PEER} {DATAGRAMS} {WINDOW}"), TRANSFER)?;
    let count = taker.join().map_err(|_| Failure::Wrong("the sink panicked".into()))??;
    require!(count == DATAGRAMS, "{count} datagrams came");

    let sender = thread::spawn(move || {
        let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
        traffic::blast(&socket, (GUEST, PORT).into(), DATAGRAMS, WINDOW)
    });
    run.shell("linux", "weir-traffic sink", TRANSFER)?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))?
}

/// Only from the guest to the wire: Bochs takes no frame longer than 1514 bytes from a tap.
fn jumbo_frames(run: &mut Run) -> Outcome {
    run.shell("linux", "ip link set eth0 mtu 9000", STEP)?;
    run.shell("linux", &format!("ping -c 1 -W 1 -s 8972 {PEER} >/dev/null || true"), STEP)?;
    let frames = run.capture.as_ref().map(end_to_end::wire::Capture::from_weir).unwrap_or_default();
    let longest = frames.iter().map(Vec::len).max().unwrap_or(0);
    run.shell("linux", "ip link set eth0 mtu 1500", STEP)?;
    require!(longest == 9014, "the longest frame on the wire has {longest} bytes");
    require!(answers(GUEST, STEP)?, "no answer to ping with the MTU at 1500 again");
    Ok(())
}

fn link_down_and_up(run: &mut Run) -> Outcome {
    let cycle = "ip link set eth0 down; ip link set eth0 up";
    run.shell("linux", &format!("for i in $(seq 20); do {cycle}; done"), STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping afterwards");
    ping_out(run)
}

fn reloads_the_driver(run: &mut Run) -> Outcome {
    for _ in 0..3 {
        run.shell("linux", "rmmod e1000 && insmod /modules/e1000.ko", STEP)?;
    }
    run.shell("linux", &format!("ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up"), STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping afterwards");
    ping_out(run)
}

fn powers_off(run: &mut Run) -> Outcome {
    run.console.type_text("poweroff -f\n")?;
    run.finish()
}

/// The first guest has the keyboard; the second serves.
fn two_guests(name: &str) -> Outcome {
    let mut run = start(name, &["linux", "server"])?;
    run.expect_within("linux| weir guest: up", BOOT)?;
    run.expect_within("/ # ", BOOT)?;
    require!(answers(GUEST, STEP)? && answers(OTHER, BOOT)?, "a guest does not answer the wire");
    run.shell("linux", &format!("ping -c 5 {OTHER}"), STEP)?;
    run.shell("linux", "ip link set eth0 mtu 9000", STEP)?;
    run.shell("linux", &format!("ping -c 3 -s 8972 {OTHER}"), STEP)?;
    run.shell("linux", &format!("head -c {TCP_BYTES} /dev/urandom > /tmp/a"), TRANSFER)?;
    let shown = run.shell("linux", "sha256sum /tmp/a", TRANSFER)?;
    run.shell("linux", &format!("nc {OTHER} 6002 < /tmp/a"), TRANSFER)?;
    let sent = shown.split_whitespace().find(|word| word.len() == 64).unwrap_or("no sum").to_owned();
    run.shell("linux", &format!("weir-traffic blast {OTHER} {DATAGRAMS} {WINDOW}"), TRANSFER)?;
    require!(run.console.count(&format!("{sent}  -")) == 1, "the server's sum is not {sent}");
    run.expect("TEST serve PASS")?;
    for size in [0, 1472] {
        let tally = ping(GUEST, 5, size, STEP)?;
        require!(tally.missed.is_empty(), "from the wire, after the other guest's end: {tally:?}");
    }
    run.console.type_text("poweroff -f\n")?;
    run.finish()
}
