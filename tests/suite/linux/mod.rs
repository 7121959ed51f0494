//! Debian's unmodified Linux kernel: one boot for many checks, since a boot takes minutes in an emulator.

mod cable;
pub mod interrupted;
mod neighbour;
mod steps;
mod transfer;

use crate::{timed, trial_needing};
use end_to_end::backend::Need;
use end_to_end::initramfs::ArchiveFile;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::{answers, ping};
use end_to_end::run::STEP;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, choice, require};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use steps::STEPS;
pub use steps::{BOOT, counter};
use transfer::{TRANSFER, make_file};

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 11);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 12);
const PEER: &str = "10.0.5.1";
const GUEST_MAC: &str = "52:54:00:05:00:11";
/// Of the second vNIC of the first guest.
const SECOND_MAC: &str = "52:54:00:05:00:21";
const OTHER_MAC: &str = "52:54:00:05:00:12";
/// Datagrams of a transfer.
fn datagrams() -> u32 {
    choice::datagrams(10_000)
}

/// The maximum number of datagrams on their way: what a socket of the guest holds by default, 208 KiB, at 2.7 KiB
/// each.
const WINDOW: u32 = 64;
/// Lines of the serial log in the report of a failed test.
const TAIL: usize = 40;

/// Physical NICs under the guest, whose vNIC is always the same model.
const NICS: [EmulatedNicModel; 3] =
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000e, EmulatedNicModel::Igb];

/// One boot of one Linux guest.
pub struct Boot {
    backend: Backend,
    /// The physical NIC.
    nic: EmulatedNicModel,
}

type Results = BTreeMap<&'static str, Result<(), String>>;

/// The tests that boot Linux on a backend, and the tests that share these boots.
pub fn trials(backend: Backend) -> (Vec<Trial>, Vec<Trial>) {
    let name = "two_linux_guests_and_the_wire_exchange_frames";
    let mut boots = vec![
        trial_needing(backend, &[Need::MoreLinuxBoots], name, two_guests),
        trial_needing(
            backend,
            &[Need::MoreLinuxBoots],
            "linux_without_io_apic_or_acpi_has_its_network",
            without_io_apic,
        ),
    ];
    let mut rest = Vec::new();
    for nic in NICS {
        let boot = if nic == NICS[0] { Need::LinuxBoot } else { Need::MoreLinuxBoots };
        let needs = [Need::Nic(nic), boot];
        if needs.iter().any(|need| backend.lacks(*need).is_some()) {
            rest.push(trial_needing(backend, &needs, format!("{nic}::linux"), |_| Ok(())));
            continue;
        }
        let mut steps = of_one_boot(Boot { backend, nic }).into_iter();
        boots.extend(steps.next());
        rest.extend(steps);
    }
    (boots, rest)
}

/// The steps of one boot, each as a test; the test that runs first boots.
fn of_one_boot(boot: Boot) -> Vec<Trial> {
    let shared = Arc::new((boot, OnceLock::<Results>::new()));
    STEPS
        .iter()
        .map(|step| {
            let shared = Arc::clone(&shared);
            let name = format!("{}::{}", shared.0.nic, step.name);
            trial_needing(shared.0.backend, step.needs, name, move |_| {
                let (boot, results) = &*shared;
                let result = results.get_or_init(|| run_steps(boot)).get(step.name);
                match result {
                    Some(Ok(())) => Ok(()),
                    Some(Err(failure)) => Err(Failure::Wrong(failure.clone())),
                    None => Err(Failure::Wrong("not reached: the guest did not boot".into())),
                }
            })
        })
        .collect()
}

/// Runs all steps in one boot; after a step has failed, the others are still run.
fn run_steps(boot: &Boot) -> Results {
    let mut results = Results::new();
    let test = Test { name: format!("linux-{}", boot.nic), backend: boot.backend };
    let as_users = boot.nic == EmulatedNicModel::E1000 && boot.backend.lacks(Need::MoreLinuxBoots).is_none();
    let linux = if as_users { VmSpec::linux } else { short_linux };
    let begin = || {
        let run = start(&test, boot.nic, &[("linux", &[GUEST_MAC])], vec![neighbour::full()?], linux)?;
        Ok::<_, Failure>((run, neighbour::Flood::start()?))
    };
    let (mut run, _flood) = match begin() {
        Ok(begun) => begun,
        Err(failure) => {
            results.insert(STEPS[0].name, Err(failure.to_string()));
            return results;
        }
    };
    for step in &STEPS {
        if step.needs.iter().any(|need| boot.backend.lacks(*need).is_some()) {
            continue;
        }
        let result =
            timed(format!("{}::{} {}", boot.backend, boot.nic, step.name), || (step.act)(&mut run, boot));
        let broken = result.is_err() && step.name == STEPS[0].name;
        results.insert(step.name, result.map_err(|failure| format!("{failure}{}", test.tail(TAIL))));
        if broken {
            break;
        }
    }
    results
}

/// Linux without what takes longest in an emulator: decompressed in advance, with its messages only in `dmesg`.
pub fn short_linux(name: &str, command_line: &str) -> Outcome<VmSpec> {
    VmSpec::unpacked_linux(name, &format!("quiet {command_line}"))
}

/// Starts one or two Linux guests with the MAC addresses of their vNICs, and others. The first has the keyboard.
fn start(
    test: &Test,
    nic: EmulatedNicModel,
    guests: &[(&str, &[&str])],
    others: Vec<VmSpec>,
    linux: fn(&str, &str) -> Outcome<VmSpec>,
) -> Outcome<Run> {
    let folder = test.empty_folder()?;
    let files = [ArchiveFile { path: "tests/serve", contents: SERVE }];
    let mut vms = guests
        .iter()
        .zip([(GUEST, ""), (OTHER, " weir.mtu=9000 weir.run=serve")])
        .map(|((name, macs), (ip, more))| {
            let command_line = format!("console=ttyS0,115200 weir.ip={ip}/24{more}");
            let vm = linux(name, &command_line)?.with_files(&folder, &files)?;
            Ok(macs.iter().fold(vm, |vm, mac| vm.nic(mac)))
        })
        .collect::<Outcome<Vec<_>>>()?;
    vms.extend(others);
    let mut scenario = Scenario::new(vms).with_nics(&[nic]);
    scenario.machine.memory = 768;
    Run::start_in(test.backend, folder, &scenario)
}

/// The script of the second guest: receives a file over TCP, prints its checksum, and receives datagrams.
const SERVE: &[u8] = b"nc -l -p 6002 | sha256sum\nweir-traffic sink\n";

/// One guest with ACPI uses the 8259As; the other goes by the Interrupt Line register, and restarts by the firmware.
fn without_io_apic(test: &Test) -> Outcome {
    let vms = [("linux", GUEST, GUEST_MAC, "acpi=off reboot=b"), ("pic", OTHER, OTHER_MAC, "noapic")]
        .map(|(name, ip, mac, options)| {
            short_linux(name, &format!("console=ttyS0,115200 weir.ip={ip}/24 {options}"))
                .map(|vm| vm.nic(mac))
        })
        .into_iter()
        .collect::<Outcome<Vec<_>>>()?;
    let mut scenario = Scenario::new(vms).with_nics(&[EmulatedNicModel::E1000]);
    scenario.machine.memory = 768;
    let mut run = Run::start(test, &scenario)?;
    run.expect_within("linux| weir guest: up", BOOT)?;
    run.expect_within("/ # ", BOOT)?;
    for guest in [GUEST, OTHER] {
        require!(answers(guest, BOOT)?, "{guest} does not answer the wire");
        let tally = ping(guest, 20, 1472, STEP)?;
        require!(tally.missed.is_empty(), "{guest}: {tally:?}");
    }
    let interrupts = run.shell("linux", "grep -e eth0 -e ttyS0 /proc/interrupts", STEP)?;
    require!(interrupts.lines().any(|line| line.contains("XT-PIC") && line.contains("eth0")), "{interrupts}");
    run.console.type_text("reboot -f\n")?;
    run.expect("INFO  vm: linux: reset")?;
    run.allow("weir> ");
    run.console.type_text("\x1e")?;
    run.expect("weir> ")?;
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}

/// The first guest has the keyboard, and a second vNIC for a bond; the second serves.
fn two_guests(test: &Test) -> Outcome {
    let guests: [(&str, &[&str]); 2] = [("linux", &[GUEST_MAC, SECOND_MAC]), ("server", &[OTHER_MAC])];
    let mut run = start(test, EmulatedNicModel::E1000, &guests, vec![], short_linux)?;
    run.expect_within("linux| weir guest: up", BOOT)?;
    run.expect_within("/ # ", BOOT)?;
    require!(answers(GUEST, STEP)? && answers(OTHER, BOOT)?, "a guest does not answer the wire");
    run.shell("linux", &format!("ping -c 5 {OTHER}"), STEP)?;
    run.shell("linux", "ip link set eth0 mtu 9000", STEP)?;
    run.shell("linux", &format!("ping -c 3 -s 8972 {OTHER}"), STEP)?;
    make_file(&mut run)?;
    let shown = run.shell("linux", "sha256sum /tmp/a", TRANSFER)?;
    run.shell("linux", &format!("nc {OTHER} 6002 < /tmp/a"), TRANSFER)?;
    let sent = shown.split_whitespace().find(|word| word.len() == 64).unwrap_or("no checksum").to_owned();
    run.shell("linux", &format!("weir-traffic blast {OTHER} {} {WINDOW}", datagrams()), TRANSFER)?;
    require!(run.console.count(&format!("{sent}  -")) == 1, "the server's checksum is not {sent}");
    run.expect_in_any_order("TEST serve PASS")?;
    for size in [0, 1472] {
        let tally = ping(GUEST, 5, size, STEP)?;
        require!(tally.missed.is_empty(), "from the wire, after the other guest powered off: {tally:?}");
    }
    bond_fails_over(&mut run)?;
    run.console.type_text("poweroff -f\n")?;
    run.finish()
}

/// Two vNICs on one uplink, of which one at a time sends, with the MAC address of the first whichever it is.
fn bond_fails_over(run: &mut Run) -> Outcome {
    let load = "insmod /modules/tls.ko && insmod /modules/bonding.ko mode=active-backup miimon=100";
    let bond = "/sys/class/net/bond0/bonding";
    for command in [
        load,
        "ip addr flush dev eth0 && ip link set eth0 down && ip link set bond0 up",
        &format!("for i in eth0 eth1; do echo +$i >{bond}/slaves; done; ip addr add {GUEST}/24 dev bond0"),
    ] {
        run.shell("linux", command, STEP)?;
    }
    // The bond waits for the link of what it shall change to.
    let change = |run: &mut Run, command: &str, nic: &str| {
        let waits = format!("until grep {nic} {bond}/active_slave; do {command}; sleep 1; done");
        run.shell("linux", &waits, STEP)?;
        require!(answers(GUEST, STEP)?, "no answer to ping by {nic}");
        let tally = ping(GUEST, 5, 1472, STEP)?;
        require!(tally.missed.is_empty(), "by {nic}: {tally:?}");
        Ok(())
    };
    change(run, "true", "eth0")?;
    change(run, "ip link set eth0 down", "eth1")?;
    run.shell("linux", "ip link set eth0 up", STEP)?;
    change(run, &format!("echo eth0 >{bond}/active_slave"), "eth0")?;
    change(run, &format!("echo eth1 >{bond}/active_slave"), "eth1")
}
