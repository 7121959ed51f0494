//! `boot replay`, from its users' point of view: a log of the serial line in, decisions and messages out.

use base::{Duplex, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition};
use nic_manager::{
    Manager, MemberId, MemberRole, Recorder, TeamEvent, TeamNames, TeamSample, TeamSettings, VnicId,
    VnicInfo, write_history,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct LanNames(&'static str);

impl TeamNames for LanNames {
    fn team(&self) -> &str {
        self.0
    }

    fn nic(&self, member: MemberId) -> &str {
        ["left", "right"].get(member.index()).copied().unwrap_or_default()
    }

    fn vnic(&self, vnic: VnicId) -> (&str, usize) {
        ("web", vnic.0.into())
    }
}

/// A team of two NICs, of which the first one fails at the fifth of six events; so many of these.
fn recorder(count: usize) -> Recorder {
    let vnic = VnicInfo { port: 1, vm: 0, number: 0, mac: MacAddress([2, 0, 0, 0, 0, 1]), priority: 3 };
    let manager = Manager::new(TeamSettings::STANDARD, &[MemberRole::Active; 2], &[vnic]);
    let (mut recorder, link) =
        (Recorder::new(manager), LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full });
    let mut at = 0;
    let nic = |(place, link)| {
        let member = MemberId::new(place).unwrap();
        [
            TeamEvent::Nic { member, condition: NicCondition::Ready, link },
            TeamEvent::Sample(TeamSample::default()),
        ]
    };
    for event in [(0, link), (1, link), (0, LinkStatus::DOWN)].into_iter().flat_map(nic).take(count) {
        at += 500_000_000;
        recorder.handle(event, Instant(at), &mut drop);
    }
    recorder
}

/// The lines of the shell, with others between them.
fn log_of(team: &'static str) -> String {
    let mut log = String::from("[    0.043177] INFO  launch: Weir\r\nweir> net events raw\r\n");
    write_history(&recorder(6), &LanNames(team), &mut |line| {
        log +=
            &format!("weir| {line}\r\nweb| weir| history lan 000000 ff\r\n[    9.1] INFO  net: history\r\n");
    });
    log + "weir> \r\n"
}

fn replay(test: &str, log: &str, arguments: &[&str]) -> Output {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay_{test}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("serial.log"), log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_boot"));
    command.current_dir(folder).args(["replay", "serial.log"]).args(arguments).output().unwrap()
}

/// The checksum of Ethernet [IEEE 802.3 3.2.9], of bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| crc >> 1 ^ if crc & 1 != 0 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_history_between_other_lines_is_replayed() {
    let output = replay("whole", &log_of("lan"), &[]);
    let said = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(said.starts_with("serial.log:3: history of team lan\n"), "{said}");
    assert!(said.contains("      2.500000       4  left: ready, link down\n"), "{said}");
    assert!(said.contains("-> failover lan: left -> right cause=link moved=1\n"), "{said}");
    assert!(said.ends_with("\nreplayed 6 events of team lan: the same decisions\n"), "{said}");
    assert!(!said.contains("sample:"), "they decide nothing: {said}");
    let all = stdout(&replay("whole_all", &log_of("lan"), &["--all"]));
    assert_eq!(all.matches("  sample:").count(), 3, "{all}");
}

#[test]
fn one_of_several_teams_is_chosen() {
    let log = log_of("lan") + &log_of("dmz");
    let said = stdout(&replay("teams", &log, &[]));
    assert_eq!(said.matches(": the same decisions\n").count(), 2, "{said}");
    let said = stdout(&replay("team", &log, &["--team", "dmz"]));
    assert!(!said.contains("lan"), "{said}");
    let output = replay("no_team", &log, &["--team", "wan"]);
    assert!(!output.status.success());
    assert_eq!(stderr(&output), "boot: serial.log: no history of team wan; there are some of: dmz, lan\n");
}

#[test]
fn an_event_that_is_decided_otherwise_is_named() {
    let bytes_of = |count| {
        let mut bytes = Vec::new();
        recorder(count).read_out(|piece| bytes.extend_from_slice(piece));
        bytes
    };
    // Each event adds to what there was, and ends with the digest of what was decided.
    let (mut bytes, fifth) = (bytes_of(6), bytes_of(5).len());
    bytes[fifth - 1] ^= 1;
    let head = format!("lan: version 2, {} bytes, nics left right, vnics web/0", bytes.len());
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let crc = crc32(&[head.as_bytes(), &bytes].concat());
    let output = replay(
        "otherwise",
        &format!(
            "weir| history {head}\nweir| history lan 000000 {digits}\nweir| history lan: end, crc {crc:08x}\n"
        ),
        &[],
    );
    let said = stderr(&output);
    assert!(!output.status.success());
    assert!(said.contains("event 4, at 2.500000, was decided otherwise on the machine: left: "), "{said}");
    assert!(said.contains("\nhere:\n    frames are divided in another way\n"), "{said}");
}

#[test]
fn a_log_that_is_cut_is_reported() {
    let log = log_of("lan");
    let end = log.rfind("\nweir| history").unwrap() + 1;
    for (name, log, expected) in [
        ("end", &log[..end], "its end is missing"),
        ("line", &log[..end - 100], "its end is missing"),
        ("beginning", &log[log.find(" 000040 ").unwrap()..], "its beginning is missing"),
    ] {
        let output = replay(name, log, &[]);
        let said = stderr(&output);
        assert!(!output.status.success(), "{name}");
        assert!(said.contains("history of team lan from line ") && said.contains(expected), "{name}: {said}");
    }
    // A later one of the same team serves.
    let output = replay("later", &(log[..end].to_owned() + &log), &[]);
    assert!(output.status.success() && stderr(&output).contains("a later one is used"));
}

#[test]
fn damage_is_told_with_its_line() {
    let log = log_of("lan");
    let line = log.lines().position(|line| line.contains(" 000080 ")).unwrap();
    let without: String =
        log.lines().enumerate().filter(|(at, _)| *at != line).map(|(_, line)| format!("{line}\n")).collect();
    let said = stderr(&replay("gap", &without, &[]));
    let expected = format!(
        "boot: serial.log:{}: history of team lan from line 3 on: 64 bytes from 000080 on are missing\n",
        line + 3
    );
    assert_eq!(said, expected);
    let other = log.replacen("left right", "left other", 1);
    assert!(stderr(&replay("names", &other, &[])).contains("its checksum is another one"));
}

#[test]
fn a_log_without_a_history_says_how_to_get_one() {
    let output = replay("nothing", "weir> net nics\r\nweir| nic0\r\n", &[]);
    assert!(!output.status.success());
    let expected = "boot: serial.log: no history of a team: Weir's shell prints them with: net events raw\n";
    assert_eq!(stderr(&output), expected);
}
