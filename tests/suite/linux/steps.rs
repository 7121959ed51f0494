//! The steps of one boot of a Linux guest, in order. Each step leaves the network as it found it.

use super::cable::cable;
use super::interrupted;
use super::neighbour;
use super::transfer::{tcp, udp};
use super::{Boot, GUEST, GUEST_MAC, PEER};
use crate::lifecycle::{open_shell, power_off};
use end_to_end::backend::Need;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::{answers, ping};
use end_to_end::qemu::Accelerator;
use end_to_end::run::STEP;
use end_to_end::{Outcome, Run, namespace, require};
use std::time::Duration;

/// Timeout for a boot: six thousand million instructions, on a busy host.
pub const BOOT: Duration = Duration::from_secs(1200);

/// Warnings that the same kernel also prints without Weir: on QEMU 7.2 (`-M pc`), and on Bochs 2.7 with this
/// processor model.
const PLAIN_WARNINGS: [&str; 5] = [
    "tsc: Unable to calibrate against PIT",
    "fail to add MMCONFIG information, can't access extended PCI",
    "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks",
    // For AMD's first Zen: on QEMU 10.0 with `-cpu EPYC-v1`.
    "Speculative Return Stack Overflow: IBPB-extending microcode not applied!",
    "Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc/html/latest/admin-guide/hw-vuln/srso.html",
];

/// What the same kernel may print without Weir on a processor of whatever kind, with the host's clock under load: the
/// processor's flaws (its file bugs.c), and clocks that it compares while the host has other work.
const HOST_WARNINGS: [&str; 14] = [
    "Spectre V1 :",
    "Spectre V2 :",
    "RETBleed:",
    "MDS:",
    "TAA:",
    "MMIO Stale Data:",
    "Register File Data Sampling:",
    "L1TF:",
    "SRBDS:",
    "GDS:",
    "Speculative Return Stack Overflow:",
    "clocksource:",
    "Marking TSC unstable",
    "TSC found unstable after boot",
];

/// A step: its name, what it needs of the backend, and its code.
pub struct LinuxStep {
    pub name: &'static str,
    pub needs: &'static [Need],
    pub act: fn(&mut Run, &Boot) -> Outcome,
}

const fn step(name: &'static str, act: fn(&mut Run, &Boot) -> Outcome) -> LinuxStep {
    LinuxStep { name, needs: &[], act }
}

pub const STEPS: [LinuxStep; 16] = [
    step("linux_boots_to_a_shell", boots_to_a_shell),
    step("linux_prints_no_additional_warning", prints_no_warning),
    step("linux_takes_the_time_stamp_counter_as_its_clock", takes_the_tsc),
    step("linux_probes_the_e1000", probes_the_nic),
    step("linux_and_the_wire_ping_each_other", pings),
    step("linux_tcp_keeps_4_mib_each_way", tcp),
    step("linux_udp_arrives_once_complete_in_order", udp),
    step("linux_sends_jumbo_frames", sends_jumbo_frames),
    LinuxStep {
        name: "linux_and_the_wire_exchange_jumbo_frames",
        needs: &[Need::JumboFromWire],
        act: exchanges_jumbo_frames,
    },
    step("linux_sets_the_link_down_and_up_20_times", link_down_and_up),
    LinuxStep { name: "linux_sees_the_cable_unplugged_and_plugged_in", needs: &[Need::Cable], act: cable },
    step("linux_gives_the_nic_to_a_driver_in_user_space", gives_the_nic_to_user_space),
    step("linux_reloads_the_driver", reloads_the_driver),
    LinuxStep {
        name: "linux_streams_survive_interruptions",
        needs: &[Need::Cable],
        act: interrupted::streams,
    },
    LinuxStep {
        name: "linux_is_restarted_in_the_middle_of_a_stream",
        needs: &[Need::Cable],
        act: interrupted::restart,
    },
    step("linux_powers_off", powers_off),
];

fn boots_to_a_shell(run: &mut Run, _: &Boot) -> Outcome {
    run.expect_within("weir guest: up", BOOT)?;
    run.expect("/ # ")?;
    run.shell("linux", "true", STEP).map(drop)
}

fn prints_no_warning(run: &mut Run, boot: &Boot) -> Outcome {
    let on_host = boot.backend.accelerator() == Some(Accelerator::Kvm);
    let plain = || PLAIN_WARNINGS.iter().chain(HOST_WARNINGS.iter().filter(|_| on_host));
    let shown = run.shell("linux", "dmesg -r | grep '^<[0-4]>' || true", STEP)?;
    let additional: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with('<') && !plain().any(|plain| line.contains(plain)))
        .collect();
    require!(additional.is_empty(), "{}", additional.join("\n"));
    Ok(())
}

/// Without measuring it, on every processor: Weir tells its rate.
fn takes_the_tsc(run: &mut Run, _: &Boot) -> Outcome {
    let shown =
        run.shell("linux", "cat /sys/devices/system/clocksource/clocksource0/current_clocksource", STEP)?;
    require!(shown.lines().any(|line| line.trim() == "tsc"), "the clock is not the TSC: {shown}");
    let shown = run.shell("linux", "dmesg | grep -i -e tsc -e kvm-clock", STEP)?;
    require!(!shown.contains("calibration"), "Linux has measured the TSC: {shown}");
    Ok(())
}

fn probes_the_nic(run: &mut Run, _: &Boot) -> Outcome {
    let shown = run.shell("linux", "dmesg | grep e1000", STEP)?;
    for text in [GUEST_MAC, "Intel(R) PRO/1000 Network Connection", "NIC Link is Up 1000 Mbps Full Duplex"] {
        require!(shown.contains(text), "\"{text}\" is missing in: {shown}");
    }
    Ok(())
}

fn pings(run: &mut Run, _: &Boot) -> Outcome {
    ping_out(run)?;
    for size in [0, 56, 1472] {
        let tally = ping(GUEST, 5, size, STEP)?;
        require!(tally.missed.is_empty(), "from the wire, {size} bytes: {tally:?}");
    }
    Ok(())
}

/// The guest pings the peer. Its timeout is in emulated time, which does not wait for the host, so one of several
/// replies is enough here. The pings from the wire test that none is lost.
fn ping_out(run: &mut Run) -> Outcome {
    run.shell("linux", &format!("ping -c 5 {PEER}"), STEP).map(drop)
}

/// The peer's MTU is 1500 here: whether it accepts such a frame is not tested.
fn sends_jumbo_frames(run: &mut Run, _: &Boot) -> Outcome {
    run.shell("linux", "ip link set eth0 mtu 9000", STEP)?;
    run.shell("linux", &format!("ping -c 1 -W 1 -s 8972 {PEER} >/dev/null || true"), STEP)?;
    let longest = run.from_weir().iter().map(Vec::len).max().unwrap_or(0);
    run.shell("linux", "ip link set eth0 mtu 1500", STEP)?;
    require!(longest == 9014, "the longest frame on the wire has {longest} bytes");
    require!(answers(GUEST, STEP)?, "no answer to ping with the MTU at 1500 again");
    Ok(())
}

fn exchanges_jumbo_frames(run: &mut Run, _: &Boot) -> Outcome {
    namespace::ip(&["link", "set", "dev", "tap0", "mtu", "9000"])?;
    run.shell("linux", "ip link set eth0 mtu 9000", STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping with the MTU at 9000");
    run.shell("linux", &format!("ping -c 3 -s 8972 {PEER}"), STEP)?;
    for size in [1473, 2000, 4096, 8971, 8972] {
        let tally = ping(GUEST, 5, size, STEP)?;
        require!(tally.missed.is_empty(), "from the wire, {size} bytes: {tally:?}");
    }
    let frames = run.captures.first().map(end_to_end::wire::Capture::frames).unwrap_or_default();
    for from_weir in [true, false] {
        let longest =
            frames.iter().filter(|frame| frame.from_weir == from_weir).map(|frame| frame.bytes.len()).max();
        require!(longest == Some(9014), "longest frame (from Weir: {from_weir}): {longest:?}");
    }
    run.shell("linux", "ip link set eth0 mtu 1500", STEP)?;
    namespace::ip(&["link", "set", "dev", "tap0", "mtu", "1500"])?;
    require!(answers(GUEST, STEP)?, "no answer to ping with the MTU at 1500 again");
    Ok(())
}

fn link_down_and_up(run: &mut Run, _: &Boot) -> Outcome {
    let cycle = "ip link set eth0 down; ip link set eth0 up";
    run.shell("linux", &format!("for i in $(seq 20); do {cycle}; done"), STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping afterwards");
    ping_out(run)
}

/// Linux refuses this to a function whose interrupt cannot be disabled, or has no status. The guest raises one (IMS and
/// ICS, bit 2): the kernel disables it, and the program that reads the device learns the count.
fn gives_the_nic_to_user_space(run: &mut Run, _: &Boot) -> Outcome {
    let driver = "/sys/bus/pci/drivers/uio_pci_generic";
    let bind = "rmmod e1000 && insmod /modules/uio.ko && insmod /modules/uio_pci_generic.ko";
    run.shell("linux", &format!("{bind} && echo 8086 100e >{driver}/new_id && exec 3</dev/uio0"), STEP)?;
    run.shell("linux", &format!("bar=$(head -n 1 {driver}/0000:*/resource | cut -d' ' -f1)"), STEP)?;
    run.shell("linux", "devmem $((bar + 0xd0)) 32 4 && devmem $((bar + 0xc8)) 32 4", STEP)?;
    let read = format!("dd bs=4 count=1 <&3 | od -An -t u4; od -An -t x2 -j 4 -N 4 {driver}/0000:*/config");
    let shown = run.shell("linux", &read, STEP)?;
    let words: Vec<&str> = shown.split_whitespace().collect();
    // The count, Command with INTx disabled, and Status with the interrupt that the NIC still raises.
    let expected = words.windows(3).any(|words| words == ["1", "0403", "0238"]);
    require!(expected, "count, Command and Status: {shown}");
    run.shell("linux", "exec 3<&-; rmmod uio_pci_generic uio && insmod /modules/e1000.ko", STEP)?;
    run.shell("linux", &format!("ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up"), STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping afterwards");
    Ok(())
}

fn reloads_the_driver(run: &mut Run, _: &Boot) -> Outcome {
    for _ in 0..3 {
        run.shell("linux", "rmmod e1000 && insmod /modules/e1000.ko", STEP)?;
    }
    run.shell("linux", &format!("ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up"), STEP)?;
    require!(answers(GUEST, STEP)?, "no answer to ping afterwards");
    ping_out(run)
}

/// At the end the counters say that a NIC that cuts TCP packets was given some to cut: they are one frame at the switch, and
/// several at the vNIC.
fn powers_off(run: &mut Run, boot: &Boot) -> Outcome {
    run.console.type_text("poweroff -f\n")?;
    run.expect("linux: powered off")?;
    open_shell(run)?;
    power_off(run)?;
    let sent = counter(run, "linux: vnic", "transmitted");
    let switched = counter(run, "switch nic0 port 1:", "rx_frames");
    let cut = sent.saturating_sub(switched);
    let cuts = boot.nic == EmulatedNicModel::Igb;
    require!((cut > 1000) == cuts, "of {sent} frames {cut} were cut by {}", boot.nic);
    neighbour::check(run)
}

/// A counter at the end of the run, in the line with this text; 0 if it is not there.
pub fn counter(run: &Run, line: &str, name: &str) -> u64 {
    let text = run.console.text();
    let line = text.lines().rfind(|candidate| candidate.contains(line)).unwrap_or_default();
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}
