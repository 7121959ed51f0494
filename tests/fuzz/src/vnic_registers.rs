//! The vNIC's register interface: accesses of any width at any offset, frames both ways, time.

use crate::{Input, vnic_descriptors};
use base::{Effects, GuestPhysical, GuestSpans, Instant, Outbox, Port, SlotId, Span, Width};
use intel_regs::reg;
use testkit::{FakeMemory, bytes_of, put_all};
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

/// Actions on one vNIC, which may have been set up by a driver.
///
/// # Panics
/// When the interrupt line changes without an effect that says so, a timer that was due is due again at once,
/// or a port does more than it was asked to.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let memory = FakeMemory::new(MEMORY);
    let mut vnic = vnic();
    let mut destination = Destination::new();
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
                put_all(&mut vnic.port(&memory), [&frame[..], &frame[..1]], now);
                vnic.take_effects()
            }
            13 if action >> 4 == 1 => {
                vnic.suspend();
                vnic.resume();
                vnic.take_effects()
            }
            13 => destination.settle(&mut vnic, &memory, usize::from(action >> 4), now),
            _ => destination.fetch(&mut vnic, &memory, usize::from(action >> 4), now),
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
        index @ 0..0xc0 => REGISTERS[usize::from(index) % REGISTERS.len()],
        0xc0..0xe0 => u32::from(input.u16()),
        _ => input.u32(),
    };
    let skew = if action & 0x80 != 0 { u32::from(input.u8() & 3) } else { 0 };
    let offset = offset.wrapping_add(skew);
    if action & 0x10 == 0 {
        let (value, effects) = vnic.memory_read(offset, width, now);
        assert_eq!(value & !width.mask(), 0);
        effects
    } else {
        let value = input.number(width.bytes());
        vnic.memory_write(offset, width, value, now)
    }
}

/// Where frames of the guest go.
pub(crate) struct Destination {
    outbox: Outbox,
    /// Frames that are on their way.
    held: Vec<SlotId>,
}

impl Destination {
    pub(crate) fn new() -> Self {
        Self { outbox: Outbox::new(0), held: Vec::new() }
    }

    /// Fetches frames from the guest.
    ///
    /// # Panics
    /// When these are more than it was asked for, or no frames.
    pub(crate) fn fetch(
        &mut self,
        vnic: &mut Vnic,
        memory: &FakeMemory,
        budget: usize,
        now: Instant,
    ) -> Effects {
        let fetched = vnic.port(memory).fetch(&mut self.outbox, budget, now);
        assert!(fetched <= budget);
        let before = self.held.len();
        while let Some(slot) = self.outbox.fetched() {
            let frame = self.outbox.frame(slot);
            assert!((14..=intel_regs::receive::MAX_LONG_FRAME).contains(&frame.length));
            assert_eq!(bytes_of(frame).len(), frame.length);
            self.outbox.share(slot, 1);
            self.held.push(slot);
        }
        assert_eq!(self.held.len(), before + fetched);
        vnic.take_effects()
    }

    /// Lets frames arrive, the last first, until so many are left.
    pub(crate) fn settle(
        &mut self,
        vnic: &mut Vnic,
        memory: &FakeMemory,
        left: usize,
        now: Instant,
    ) -> Effects {
        while self.held.len() > left {
            self.held.pop().into_iter().for_each(|slot| self.outbox.drop_copy(slot));
        }
        vnic.port(memory).settle(&mut self.outbox, now);
        assert!(!self.outbox.has_finished());
        vnic.take_effects()
    }

    /// True if nothing can be fetched before frames arrive.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full()
    }
}

std::thread_local! {
    static BOUNCE: FakeMemory = FakeMemory::new(64 << 10);
}

/// A vNIC, the only one of this thread.
pub(crate) fn vnic() -> Vnic {
    let bounce = BOUNCE.with(|memory| memory.span(GuestPhysical(0), memory.length()));
    Vnic::new(VnicModelConfig::new(testkit::frame::mac(1)), bounce.unwrap_or(Span::EMPTY))
}
