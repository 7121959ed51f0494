//! The vNIC's register interface: accesses of any width at any offset, frames both ways, time.

use crate::{Input, vnic_descriptors};
use base::{Batch, Effects, Instant, Port, Width};
use intel_regs::reg;
use mmio::Narrow;
use mmio::registers32::{self, Registers32};
use testkit::FakeMemory;
use vnic::{Vnic, VnicModelConfig};

const MEMORY: usize = 64 << 10;
const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

/// Registers that do something; arbitrary offsets reach the others.
const REGISTERS: [u32; 36] = [
    reg::CTRL,
    reg::STATUS,
    reg::EECD,
    reg::EERD,
    reg::CTRL_EXT,
    reg::MDIC,
    reg::VET,
    reg::ICR,
    reg::ITR,
    reg::ICS,
    reg::IMS,
    reg::IMC,
    reg::RCTL,
    reg::TCTL,
    reg::PBA,
    reg::RDBAL,
    reg::RDBAH,
    reg::RDLEN,
    reg::RDH,
    reg::RDT,
    reg::RDTR,
    reg::RXDCTL,
    reg::RADV,
    reg::TDBAL,
    reg::TDBAH,
    reg::TDLEN,
    reg::TDH,
    reg::TDT,
    reg::TIDV,
    reg::TXDCTL,
    reg::TADV,
    reg::RXCSUM,
    reg::RAL,
    reg::RAL + 4,
    reg::MTA,
    reg::RSRPD,
];

/// A vNIC during one access.
struct RegisterAccess<'a> {
    vnic: &'a mut Vnic,
    effects: Effects,
    now: Instant,
}

impl Registers32 for RegisterAccess<'_> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.vnic.read(offset as u32, self.now);
        self.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.effects |= self.vnic.write(offset as u32, value, self.now);
    }
}

/// Actions on one vNIC, which may have been set up by a driver.
///
/// # Panics
/// When the interrupt line changes without an effect that says so, a timer that was due is due again at once,
/// or a port does more than it was asked to.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = FakeMemory::new(MEMORY);
    let mut vnic = Vnic::new(VnicModelConfig::new(testkit::frame::mac(1)));
    let mut batch = Batch::with_capacity(64 << 10);
    let mut now = Instant::ZERO;
    if input.u8() & 1 == 0 {
        vnic_descriptors::set_up(&mut vnic, &mut input, now);
    }
    while !input.is_empty() {
        let line = vnic.interrupt_line();
        let action = input.u8();
        let effects = match action % 16 {
            0..10 => access(&mut vnic, action, &mut input, now),
            10 => {
                let (offset, value) = (input.u8().into(), input.u32());
                vnic.io_write(offset, value, now) | vnic.io_read(offset, now).1
            }
            11 => {
                now = Instant(now.0.saturating_add(input.number(3) << 8));
                let effects = vnic.advance(now);
                assert!(vnic.next_deadline().is_none_or(|due| due > now), "due again at {now}");
                effects
            }
            12 => vnic.set_link(action & 0x10 != 0, now),
            13 if action >> 4 == 0 => {
                vnic.power_cycle();
                // The caller of `power_cycle` samples the line itself.
                Effects::IRQ_CHANGED
            }
            14 => {
                let frame = vec![action; 1 + usize::from(input.u16()) % 4096];
                assert!(vnic.port(&memory).send(&[&frame, &frame[..1]], now) <= 2);
                vnic.take_effects()
            }
            _ => poll(&mut vnic, &memory, &mut batch, usize::from(action >> 4), now),
        };
        let changed = vnic.interrupt_line() != line;
        assert!(!changed || effects.contains(Effects::IRQ_CHANGED), "the line changed without an effect");
    }
    while vnic.faults().is_some() {}
}

/// Reads or writes a register in the way the bus does.
fn access(vnic: &mut Vnic, action: u8, input: &mut Input, now: Instant) -> Effects {
    let width = WIDTHS[usize::from(action >> 5 & 3)];
    let offset = match input.u8() {
        index @ 0..0xc0 => REGISTERS[usize::from(index) % REGISTERS.len()].into(),
        0xc0..0xe0 => u64::from(input.u16()),
        _ => input.u64(),
    };
    let skew = if action & 0x80 != 0 { u64::from(input.u8() & 3) } else { 0 };
    let offset = offset.wrapping_add(skew);
    let mut window = RegisterAccess { vnic, effects: Effects::empty(), now };
    if action & 0x10 == 0 {
        let value = registers32::read(&mut window, offset, width);
        assert_eq!(value & !width.mask(), 0);
    } else {
        let value = input.number(width.bytes());
        registers32::write(&mut window, offset, width, value, Narrow::Ignore);
    }
    window.effects
}

/// Takes frames from the guest.
pub(crate) fn poll(
    vnic: &mut Vnic,
    memory: &FakeMemory,
    batch: &mut Batch,
    budget: usize,
    now: Instant,
) -> Effects {
    batch.clear();
    let polled = vnic.port(memory).poll(batch, budget, now);
    assert_eq!(polled, batch.len());
    assert!(polled <= budget);
    assert!(batch.iter().all(|frame| (14..=intel_regs::receive::MAX_LONG_FRAME).contains(&frame.len())));
    vnic.take_effects()
}
