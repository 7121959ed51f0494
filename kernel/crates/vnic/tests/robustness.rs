//! No action of a guest or the wire causes a panic, a hang, or an access outside the guest's memory.

mod common;

use base::bits::low_u32;
use base::{Effects, Instant};
use common::*;
use intel_regs::desc::{TxCommand, TxContext, TxContextCommand, TxData};
use intel_regs::{Ctrl, Rctl, Tctl, pci, reg};
use proptest::prelude::*;
use vnic::{Vnic, VnicModelConfig};

/// Registers with side effects, which random accesses should hit often.
const BUSY: [u32; 24] = [
    reg::CTRL,
    reg::EECD,
    reg::EERD,
    reg::CTRL_EXT,
    reg::MDIC,
    reg::ICR,
    reg::ITR,
    reg::ICS,
    reg::IMS,
    reg::RCTL,
    reg::TCTL,
    reg::RDBAL,
    reg::RDLEN,
    reg::RDH,
    reg::RDT,
    reg::RDTR,
    reg::RADV,
    reg::TDBAL,
    reg::TDLEN,
    reg::TDH,
    reg::TDT,
    reg::TIDV,
    reg::TXDCTL,
    reg::RXCSUM,
];

#[derive(Clone, Debug)]
enum Step {
    Read(u32),
    Write(u32, u32),
    Io(u32, u32),
    Arrive(usize),
    Poll(usize),
    Pass(u32),
    Link(bool),
    Memory(u16, [u8; 16]),
}

fn offset() -> impl Strategy<Value = u32> {
    prop_oneof![3 => (0..BUSY.len()).prop_map(|index| BUSY[index]), 1 => 0..pci::MMIO_SIZE + 64, 1 => any::<u32>()]
}

/// Values that look like addresses, indices and lengths, and arbitrary ones.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..256, (0u32..64).prop_map(|index| index * 128), Just(u32::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => offset().prop_map(Step::Read),
        8 => (offset(), value()).prop_map(|(offset, value)| Step::Write(offset, value)),
        1 => (0u32..80, value()).prop_map(|(offset, value)| Step::Io(offset, value)),
        3 => (0usize..17_000).prop_map(Step::Arrive),
        4 => (0usize..70).prop_map(Step::Poll),
        1 => any::<u32>().prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Link),
        4 => (any::<u16>(), any::<[u8; 16]>()).prop_map(|(at, bytes)| Step::Memory(at, bytes)),
    ]
}

fn run(guest: &mut Guest, step: &Step) {
    let now = guest.now;
    match step {
        Step::Read(offset) => drop(guest.read(*offset)),
        // A reset at every write of CTRL would end every experiment early.
        Step::Write(reg::CTRL, value) if value % 8 != 0 => guest.set(reg::CTRL, value & !Ctrl::RST.bits()),
        Step::Write(offset, value) => guest.set(*offset, *value),
        Step::Io(offset, value) => {
            let _ = guest.nic.io_write(*offset, *value, now);
            let _ = guest.nic.io_read(*offset, now);
        }
        Step::Arrive(length) => {
            let frame = vec![0xff; *length];
            assert!(guest.send(&[&frame, &frame]) <= 2);
        }
        Step::Poll(budget) => {
            assert!(guest.poll(*budget).len() <= *budget);
        }
        Step::Pass(nanoseconds) => drop(guest.pass((*nanoseconds).into())),
        Step::Link(up) => drop(guest.nic.set_link(*up, now)),
        Step::Memory(at, bytes) => guest.memory.put(u64::from(*at), bytes),
    }
    let _ = guest.nic.take_effects();
    if let Some(deadline) = guest.nic.next_deadline() {
        let _ = guest.nic.advance(deadline);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_sequence_of_accesses_is_survived(steps in proptest::collection::vec(step(), 1..200)) {
        let mut guest = Guest::bare();
        for step in &steps {
            run(&mut guest, step);
        }
    }

    #[test]
    fn any_descriptors_are_survived_by_running_rings(
        seed in any::<[u8; 16]>(),
        steps in proptest::collection::vec(step(), 1..100),
        lbm in any::<bool>(),
    ) {
        let mut control = Rctl::BAM | Rctl::LPE | Rctl::UPE | Rctl::MPE;
        control.set(Rctl::LBM_MAC, lbm);
        let mut guest = Guest::with(control, 64);
        for slot in 0..64u64 {
            let mut descriptor = seed;
            for (index, byte) in descriptor.iter_mut().enumerate() {
                *byte = byte.wrapping_mul(slot as u8 | 1).rotate_left(index as u32).wrapping_add(slot as u8);
            }
            // Most buffers are in memory, some are not.
            if slot % 8 != 0 {
                descriptor[3..8].fill(0);
            }
            guest.memory.put(TX_RING + slot * 16, &descriptor);
            if slot % 16 == 5 {
                guest.memory.put(RX_RING + slot * 16, &descriptor);
            }
        }
        guest.set(reg::TCTL, Tctl::EN.bits());
        guest.set(reg::TDT, 63);
        guest.poll_all(64);
        for step in &steps {
            if matches!(step, Step::Arrive(_) | Step::Poll(_) | Step::Memory(..)) {
                run(&mut guest, step);
                guest.set(reg::TDT, (guest.now.0 % 64) as u32);
                guest.now = Instant(guest.now.0 + 17);
            }
        }
    }
}

#[test]
fn every_register_survives_extreme_values() {
    for value in [0, 1, 0x8000_0000, 0x5555_5555, u32::MAX] {
        let mut guest = Guest::bare();
        for offset in (0..pci::MMIO_SIZE).step_by(4) {
            guest.set(offset, value);
            let _ = guest.read(offset);
            let _ = guest.nic.interrupt_line();
        }
        let _ = guest.send(&[&[0xff; 60]]);
        guest.poll_all(64);
    }
}

#[test]
fn a_ring_of_contexts_cannot_prolong_a_poll() {
    let mut guest = Guest::bare();
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::TDLEN, 0x000f_ff80);
    guest.set(reg::TDBAL, 0);
    let context = TxContext::default().with_command(TxContextCommand::empty(), 0).to_bytes();
    for index in 0..65_528u64 {
        guest.memory.put(index * 16, &context);
    }
    guest.set(reg::TCTL, Tctl::EN.bits());
    guest.set(reg::TDT, 65_527);
    guest.memory.record();
    assert_eq!(guest.poll(64).len(), 0);
    assert!(guest.memory.recorded().len() <= 256);
    assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "the rest comes with the next poll");
    guest.poll_all(64);
    assert_eq!(guest.read(reg::TDH), 65_527);
}

#[test]
fn a_ring_of_descriptors_without_buffers_cannot_prolong_a_reception() {
    let mut guest = Guest::bare();
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::RDLEN, 0x000f_ff80);
    guest.set(reg::RDBAL, 0);
    // 65,527 free descriptors, of which only the last one has a buffer.
    guest.memory.write_u64(65_526 * 16, TX_BUFFERS);
    guest.set(reg::RCTL, (Rctl::EN | Rctl::UPE | Rctl::SECRC).bits());
    guest.set(reg::RDT, 65_527);
    guest.memory.record();
    let frame = frame_to(MAC, 60);
    let frames = [&frame[..]; 32];
    assert_eq!(guest.send(&frames), 32);
    let accesses = guest.memory.recorded().len();
    assert!(accesses <= 200, "{accesses}");
    // The rest is the guest's own work, piece by piece.
    let mut pieces = 0;
    while guest.nic.take_effects().contains(Effects::RX_SPACE) {
        guest.memory.record();
        assert_eq!(guest.send(&[]), 0);
        let accesses = guest.memory.recorded().len();
        assert!(accesses <= 200, "{accesses}");
        pieces += 1;
    }
    assert!(pieces > 1000);
    assert_eq!(guest.memory.bytes(TX_BUFFERS, 60), frames[0]);
    assert_eq!((guest.read(reg::RDH), guest.nic.waiting()), (65_527, 31));
}

#[test]
fn a_packet_of_many_segments_cannot_prolong_a_poll() {
    let mut guest = Guest::bare();
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::TDLEN, 0x800);
    guest.set(reg::TDBAL, 0);
    let context = TxContext { header_length: 54, maximum_segment_size: 1.into(), ..TxContext::default() }
        .with_command(TxContextCommand::TSE, 0xf_ffff);
    guest.memory.put(0, &context.to_bytes());
    let last = 59;
    for index in 1..=last {
        let end = if index == last { TxCommand::EOP } else { TxCommand::empty() };
        let command = TxCommand::TSE | end;
        let data = TxData { address: TX_BUFFERS.into(), ..TxData::default() }.with_command(command, 16_288);
        guest.memory.put(index * 16, &data.to_bytes());
    }
    guest.set(reg::TCTL, Tctl::EN.bits());
    guest.set(reg::TDT, low_u32(last + 1));
    for poll in 0..100 {
        guest.memory.record();
        assert_eq!(guest.poll(32).len(), 32, "{poll}");
        let accesses = guest.memory.recorded().len();
        assert!(accesses <= 60 + 32 * 4, "{accesses}");
        assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "the rest comes with the next poll");
    }
}

/// A guest whose transmit ring has 32 packets of 16,000 bytes each.
fn with_long_frames(command: TxCommand) -> Guest {
    let mut guest = Guest::bare();
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::TDLEN, 0x800);
    guest.set(reg::TDBAL, 0);
    for index in 0..32 {
        let data = TxData { address: TX_BUFFERS.into(), ..TxData::default() }.with_command(command, 16_000);
        guest.memory.put(index * 16, &data.to_bytes());
    }
    guest.set(reg::TCTL, Tctl::EN.bits());
    guest.set(reg::TDT, 32);
    guest
}

#[test]
fn long_frames_cannot_prolong_a_poll() {
    let mut guest = with_long_frames(TxCommand::EOP | TxCommand::IFCS);
    assert_eq!(guest.poll(32).len(), 3);
    assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "the rest comes with the next poll");
}

#[test]
fn long_frames_that_are_dropped_cannot_prolong_a_poll() {
    // Whether their last bytes are a frame check sequence is known only when all the others have been read.
    let mut guest = with_long_frames(TxCommand::EOP);
    assert_eq!(guest.poll(32).len(), 0);
    assert_eq!(guest.nic.counters().transmit_bad_fcs, 1);
    assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "the rest comes with the next poll");
}

#[test]
fn segments_of_many_descriptors_cannot_prolong_a_poll() {
    let mut guest = Guest::bare();
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::TDLEN, 0x2000);
    guest.set(reg::TDBAL, 0);
    let context = TxContext { header_length: 54, maximum_segment_size: 1.into(), ..TxContext::default() }
        .with_command(TxContextCommand::TSE, 0xf_ffff);
    guest.memory.put(0, &context.to_bytes());
    // All bytes but the headers are in the last of 256 descriptors.
    for index in 1..=256 {
        let (end, length) = if index == 256 { (TxCommand::EOP, 16_288) } else { (TxCommand::empty(), 1) };
        let command = TxCommand::TSE | end;
        let data = TxData { address: TX_BUFFERS.into(), ..TxData::default() }.with_command(command, length);
        guest.memory.put(index * 16, &data.to_bytes());
    }
    guest.set(reg::TCTL, Tctl::EN.bits());
    guest.set(reg::TDT, 257);
    // The context and the packet, which ends beyond what one poll sees.
    guest.poll(32);
    assert_eq!(guest.poll(32).len(), 8);
    assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "the rest comes with the next poll");
}

#[test]
fn the_nic_starts_without_link_when_so_configured() {
    let mut nic =
        Vnic::new(VnicModelConfig { link_up: false, ..VnicModelConfig::new(MAC) }, testkit::bounce_memory());
    let _ = nic.write(reg::CTRL, Ctrl::SLU.bits(), Instant::ZERO);
    assert_eq!(nic.read(reg::STATUS, Instant::ZERO).0 & 2, 0);
}
