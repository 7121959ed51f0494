//! Three stock Linux guests behind two or four NICs of different models, each in one boot: nobody notices which NIC carries its
//! frames.

use super::{MIXED, announcements};
use crate::lifecycle::{open_shell, power_off};
use crate::linux::{BOOT, interrupted, short_linux};
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::wire::now;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

/// Name, address and MAC address.
const GUESTS: [(&str, Ipv4Addr, &str); 3] = [
    ("linux", Ipv4Addr::new(10, 0, 5, 11), "52:54:00:05:00:11"),
    ("second", Ipv4Addr::new(10, 0, 5, 12), "52:54:00:05:00:12"),
    ("third", Ipv4Addr::new(10, 0, 5, 13), "52:54:00:05:00:13"),
];
const VLAN: u16 = 5;
/// Time between pings, and the longest that an answer takes beside all that on a busy host.
const PERIOD: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(5);
/// Of two NICs the cable of the first is pulled three times during a stream; of four those of all but the last, one after the other.
/// It is out for so long.
const PULLS: [interrupted::Interruption; 3] = [pull; 3];
const CASCADE: [interrupted::Interruption; 1] = [cascade];
const OUT: Duration = Duration::from_millis(300);

pub fn trials(backend: Backend) -> Vec<Trial> {
    let trial = |models: &'static [EmulatedNicModel], pulls: &'static [interrupted::Interruption], name| {
        let nics = models.iter().map(|model| Need::Nic(*model));
        let needs: Vec<_> =
            [Need::MoreLinuxBoots, Need::Cable, Need::Nics(models.len())].into_iter().chain(nics).collect();
        trial_needing(backend, &needs, name, move |test| three_guests(test, models, pulls))
    };
    vec![
        trial(
            &MIXED[..2],
            &PULLS,
            "f10_three_linux_guests_notice_nothing_of_a_failover_and_keep_their_tcp_whole",
        ),
        trial(
            &MIXED,
            &CASCADE,
            "f10_three_linux_guests_notice_nothing_of_failovers_along_four_nics_and_keep_their_tcp_whole",
        ),
    ]
}

fn three_guests(
    test: &Test,
    models: &[EmulatedNicModel],
    pulls: &'static [interrupted::Interruption],
) -> Outcome {
    let vm = |(name, ip, mac): (&str, Ipv4Addr, &str)| {
        let vm = short_linux(name, &format!("console=ttyS0,115200 weir.ip={ip}/24"))?;
        Ok(vm.memory(128).nic_in("lan", mac))
    };
    let vms = GUESTS.into_iter().map(vm).collect::<Outcome<_>>()?;
    let mut scenario = Scenario::new(vms)
        .on_lan(LanPlan::one_switch(models.len()), models)
        .team("lan", &["nics = \"all\"", "policy = \"order\"", "up_delay = \"200 ms\""]);
    scenario.machine.memory = 768;
    let mut run = Run::start(test, &scenario)?;
    for text in ["failover lan", ": no link", "held down"] {
        run.allow(text);
    }
    run.expect_within("linux| weir guest: up", BOOT)?;
    run.expect_within("/ # ", BOOT)?;
    for (name, ip, _) in GUESTS {
        require!(answers(ip, BOOT)?, "{name} does not answer");
    }
    let pingers = GUESTS.map(|(_, ip, _)| Pinger::every(PERIOD, ip, LATE));
    let begin = now();
    interrupted::to_the_wire(&mut run, pulls)?;
    check_ends_carried(&run, true, begin)?;
    let begin = now();
    interrupted::from_the_wire(&mut run, pulls)?;
    check_ends_carried(&run, false, begin)?;
    guests_reach_each_other(&mut run)?;
    for ((name, _, mac), pinger) in GUESTS.into_iter().zip(pingers) {
        let tally = pinger?.stop()?;
        let (missed, slowest) = (tally.missed.len(), tally.slowest);
        println!("{}: {name}: {missed} of {} pings missed, slowest {slowest:?}", test.backend, tally.sent);
        // That which was under way when the cable was pulled: the guest is announced just after.
        let told: Vec<_> =
            (1..models.len()).flat_map(|nic| announcements(&run, nic, mac, Duration::ZERO)).collect();
        let at_pull = |time: Duration| told.iter().any(|frame| frame.time.abs_diff(time) < super::MOMENT);
        for sequence in &tally.missed {
            require!(super::pinged(&run, mac, *sequence, at_pull)?, "{name}, not at a pull: {tally:?}");
        }
        require!(missed <= 2 * PULLS.len() && tally.sent > 20, "{name}: {tally:?}");
    }
    vlan_is_announced(&mut run)?;
    // Once at its start.
    let links = run.shell("linux", "dmesg | grep -c 'NIC Link is'", STEP)?;
    require!(links.lines().any(|line| line.trim() == "1"), "changes of the link: {links}");
    open_shell(&mut run)?;
    power_off(&mut run)
}

/// Pulls the cable of the NIC that carries everything, and puts it back.
fn pull(run: &mut Run) -> Outcome {
    run.plug(0, false)?;
    run.expect("failover lan: nic0 -> nic1")?;
    sleep(OUT);
    run.plug(0, true)?;
    run.expect("failback lan: nic0 is used again").map(drop)
}

/// The same with the cables of all NICs but the last, each while the one before it has none.
fn cascade(run: &mut Run) -> Outcome {
    let last = run.captures.len() - 1;
    for nic in 0..last {
        run.plug(nic, false)?;
        run.expect(&format!("failover lan: nic{nic} -> nic{}", nic + 1))?;
    }
    sleep(OUT);
    for nic in 0..last {
        run.plug(nic, true)?;
    }
    run.expect("failback lan: nic0 is used again").map(drop)
}

/// Part of a stream has gone by the first NIC, and part by the last.
fn check_ends_carried(run: &Run, from_weir: bool, since: Duration) -> Outcome {
    let segments = run.captures.iter().map(|capture| {
        let large = capture.select(from_weir, |bytes| bytes.len() > 1000);
        large.iter().filter(|frame| frame.time >= since).count()
    });
    let segments: Vec<usize> = segments.collect();
    println!("  large frames on the wires: {segments:?}");
    let ends = [segments.first(), segments.last()];
    require!(ends.into_iter().flatten().all(|count| *count > 50), "large frames on the wires: {segments:?}");
    Ok(())
}

fn guests_reach_each_other(run: &mut Run) -> Outcome {
    for (_, ip, _) in &GUESTS[1..] {
        run.shell("linux", &format!("ping -c 3 {ip}"), STEP)?;
    }
    Ok(())
}

/// A guest that has sent in a VLAN is announced there, too.
fn vlan_is_announced(run: &mut Run) -> Outcome {
    for module in ["llc", "stp", "garp", "mrp", "8021q"] {
        run.shell("linux", &format!("insmod /modules/{module}.ko"), STEP)?;
    }
    run.shell(
        "linux",
        &format!("ip link add link eth0 name v5 type vlan id {VLAN} && ip link set v5 up"),
        STEP,
    )?;
    run.shell("linux", "ip addr add 10.0.6.2/24 dev v5; ping -c 1 -W 1 10.0.6.1 >/dev/null || true", STEP)?;
    let pulled = now();
    run.plug(0, false)?;
    run.expect("failover lan: nic0 -> nic1")?;
    sleep(OUT);
    for (name, _, mac) in GUESTS {
        let mut vlans: Vec<Option<u16>> = announcements(run, 1, mac, pulled)
            .iter()
            .map(|announcement| end_to_end::frame::vlan(&announcement.bytes))
            .collect();
        vlans.sort_unstable();
        let expected: &[Option<u16>] = if name == "linux" {
            &[None, None, None, Some(VLAN), Some(VLAN), Some(VLAN)]
        } else {
            &[None; 3]
        };
        require!(vlans == expected, "{name} was announced in {vlans:?}");
    }
    Ok(())
}
