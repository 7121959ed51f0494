//! A physical NIC that hangs, that does not answer for a while, or that counts receive errors.

use crate::misbehaviour::stop;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::faults::NicFault;
use end_to_end::lan::LanPlan;
use end_to_end::machine::EmulatedNicModel;
use end_to_end::pinger::answers;
use end_to_end::run::STEP;
use end_to_end::statistics::RunStatistics;
use end_to_end::traffic::{self, PORT};
use end_to_end::wire::send_oversize;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const NICS: [EmulatedNicModel; 3] =
    [EmulatedNicModel::E1000, EmulatedNicModel::E1000e, EmulatedNicModel::Igb];
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const GUEST_MAC: &str = "52:54:00:00:01:02";
/// Datagrams of a guest that sends fifty in a second, and how many it has sent when its NIC hangs.
const DATAGRAMS: u32 = 200;
const BEFORE: usize = 20;
/// Frames that are too long for the NIC.
const OVERSIZE: u32 = 500;
/// Weir reads the NIC's counters once in a second.
const COUNTING: Duration = Duration::from_secs(3);

pub fn trials(backend: Backend) -> Vec<Trial> {
    let of_one = |nic| {
        let needs = [Need::Nic(nic), Need::NicFaults];
        [
            trial_needing(backend, &needs, format!("{nic}_that_hangs_is_reset_and_goes_on"), move |test| {
                hang(test, nic)
            }),
            trial_needing(
                backend,
                &needs,
                format!("{nic}_that_reads_as_all_ones_is_used_when_it_answers_again"),
                move |test| all_ones(test, nic),
            ),
        ]
    };
    NICS.into_iter().flat_map(of_one).collect()
}

/// The guest on a machine with this NIC.
fn start(test: &Test, nic: EmulatedNicModel, guest: &str, command_line: &str) -> Outcome<Run> {
    let vm = VmSpec::micro("vm0", guest, command_line)?.nic(GUEST_MAC);
    let mut scenario = Scenario::new(vec![vm]).on_lan(LanPlan::one_switch(1), &[nic]);
    scenario.machine.faulty_nics = true;
    Run::start(test, &scenario)
}

/// Without access to memory, the NIC sends nothing more. The reset gives it access again, and what it had not sent is sent.
fn hang(test: &Test, nic: EmulatedNicModel) -> Outcome {
    let command_line = format!("ip={GUEST} peer=10.0.5.1 count={DATAGRAMS} window=0 gap=2");
    let mut run = start(test, nic, "nic_blast", &command_line)?;
    let socket = UdpSocket::bind(("10.0.5.1", PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    run.allow("nic0: transmit hang: ");
    run.expect("vm0| READY")?;
    let begin = Instant::now();
    while run.captures[0].numbers().len() < BEFORE {
        require!(begin.elapsed() < STEP, "the guest sends nothing");
        thread::sleep(Duration::from_millis(50));
    }
    run.emulator.set_fault(0, Some(NicFault::NoDma))?;
    run.expect("nic0: transmit hang: ")?;
    run.expect("nic0: reset done: ")?;
    run.expect("vm0| PASS nic_blast")?;
    let received = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))?;
    run.finish()?;
    let sent = run.captures[0].numbers();
    // The first is repeated until the receiver answers.
    let in_order = sent.windows(2).all(|pair| pair[0] < pair[1] || pair == [0, 0]);
    require!(in_order && sent.last() == Some(&u32::MAX), "on the wire: {sent:?}");
    // With a reset the others lose their link for half a second, and frames for them are dropped meanwhile.
    if nic == EmulatedNicModel::E1000 { received.map(drop) } else { Ok(()) }
}

/// Then the NIC counts errors and goes on.
fn all_ones(test: &Test, nic: EmulatedNicModel) -> Outcome {
    let mut run = start(test, nic, "nic_echo", &format!("ip={GUEST}"))?;
    run.expect("vm0| READY")?;
    require!(answers(GUEST, STEP)?, "no answer before the fault");
    run.allow("nic0: NIC failed: ");
    run.emulator.set_fault(0, Some(NicFault::AllOnes))?;
    run.expect("nic0: NIC failed: the NIC does not answer: its registers read as all ones")?;
    run.emulator.set_fault(0, None)?;
    run.expect("nic0: reset done: ")?;
    require!(answers(GUEST, STEP)?, "no answer after the fault");
    run.floods = true;
    send_oversize("tap0", OVERSIZE)?;
    thread::sleep(COUNTING);
    require!(answers(GUEST, STEP)?, "no answer after the errors");
    stop(GUEST)?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()?;
    // QEMU's igb takes no note of them.
    if nic != EmulatedNicModel::Igb {
        let counted = RunStatistics::new(run.console.text()).number("receive_oversize ", " ")?;
        require!(counted == u64::from(OVERSIZE), "the NIC has counted {counted} frames that are too long");
    }
    Ok(())
}
