//! What a vNIC calculates of received frames, and what its owner tells it: frames given up, memory allowed again.

mod common;

use base::Port;
use common::*;
use intel_regs::{Ctrl, Interrupt, Rctl, Rxcsum, reg, stats};
use testkit::{bounce_memory, frame};
use vnic::{Vnic, VnicModelConfig};

/// A guest whose vNIC does not calculate what drivers do not use.
fn without_fcs() -> Guest {
    let mut guest = Guest::with(Rctl::BAM, RING);
    guest.nic =
        Vnic::new(VnicModelConfig { compute_fcs: false, ..VnicModelConfig::new(MAC) }, bounce_memory());
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::RDBAL, RX_RING as u32);
    guest.set(reg::RDLEN, RING * 16);
    guest.set(reg::RDT, RING - 1);
    guest.set(reg::RCTL, Rctl::EN.bits());
    guest
}

#[test]
fn zeros_replace_the_frame_check_sequence_when_configured() {
    let mut guest = without_fcs();
    guest.send(&[&frame_to(MAC, 80)]);
    assert_eq!(guest.receive().unwrap().0[80..], [0; 4]);
}

#[test]
fn a_packet_checksum_that_nobody_asks_for_is_not_calculated() {
    let mut guest = without_fcs();
    let frame = frame_to(MAC, 101);
    for (start, asked) in [(0u32, false), (14, true)] {
        guest.set(reg::RXCSUM, start | Rxcsum::TUOFL.bits());
        guest.send(&[&frame]);
        let (bytes, descriptor) = guest.receive().unwrap();
        let expected = if asked { !frame::checksum(&bytes[14..]) } else { 0 };
        assert_eq!(descriptor.checksum.get() % 0xffff, expected % 0xffff, "from {start}");
    }
}

#[test]
fn frames_that_the_switch_gave_up_are_missed_frames_for_the_guest() {
    let mut guest = Guest::new();
    guest.nic.port(&guest.memory).missed(3, guest.now);
    assert!(guest.nic.take_effects().contains(base::Effects::IRQ_CHANGED));
    assert_eq!((guest.read(stats::MPC), guest.read(reg::ICR)), (3, Interrupt::RXO.bits()));
    assert_eq!(guest.nic.counters().dropped(), 0, "the switch counts them for the operator");
}

#[test]
fn a_nic_that_may_reach_memory_again_looks_at_its_rings() {
    let mut guest = Guest::with(Rctl::BAM | Rctl::SECRC, 8);
    guest.nic.resume();
    assert!(guest.nic.take_effects().is_empty(), "there is nothing to do");
    guest.queue_legacy(&frame_to(PEER, 60), intel_regs::desc::TxCommand::EOP);
    let _ = guest.kick();
    guest.nic.resume();
    assert_eq!(guest.nic.take_effects(), base::Effects::TX_KICK);
    for _ in 0..10 {
        guest.send(&[&frame_to(MAC, 60)]);
    }
    let _ = guest.nic.take_effects();
    guest.nic.resume();
    assert_eq!(guest.nic.take_effects(), base::Effects::TX_KICK | base::Effects::RX_SPACE);
}
