//! The interrupt controllers of one board, wired together: local APICs, I/O APIC and the two 8259As.
//!
//! ISA interrupts reach the 8259As and the I/O APIC, of which a guest uses one or the other. PCI interrupts have
//! inputs of their own at the I/O APIC, and share those of four ISA interrupts. The 8259As'
//! output goes to LINT0 of every local APIC and, as on most boards, to input 0 of the I/O APIC.

use crate::io_apic::{INPUTS, VirtualIoApic};
use crate::layout;
use crate::local_apic::{ApicAccess, GeneralProtection, Ipi, LocalApic, Shorthand};
use crate::message::{DeliveryMode, InterruptMessage};
use crate::pic::{ELCR, Pic};
use alloc::boxed::Box;
use base::bits::low_u32;
use base::{Effects, GuestPhysical, Instant, Width};

/// The I/O APIC's input that the 8259As' output is wired to.
const PIC_INPUT: u8 = 0;
/// The I/O APIC's input of ISA interrupt 0, as the MADT says.
const IRQ0_INPUT: u8 = 2;
/// The first interrupt line that is not an ISA interrupt.
pub(crate) const FIRST_PCI_GSI: u8 = 16;
/// Bytes of the address ranges of local APIC and I/O APIC.
const PAGE: u64 = 0x1000;

/// All interrupt controllers. `vcpu` numbers processors from 0; a call for a processor that does not exist
/// has no effect.
///
/// A message-signalled interrupt reaches its processor:
///
/// ```
/// use base::{GuestPhysical, Instant, Width};
/// use platform::interrupts::InterruptControllers;
///
/// let mut controllers = InterruptControllers::new(1, 2_000_000_000);
/// let svr = GuestPhysical(0xfee0_00f0);
/// let _ = controllers.mmio_write(0, svr, Width::Dword, 0x1ff, Instant::ZERO);
/// let _ = controllers.msi(0xfee0_0000, 0x41);
/// assert!(controllers.pending(0));
/// assert_eq!(controllers.acknowledge(0), Some(0x41));
/// ```
#[derive(Debug)]
pub struct InterruptControllers {
    apics: Box<[LocalApic]>,
    io_apic: VirtualIoApic,
    pic: Pic,
    /// Levels of the global system interrupts from 16 on, of which two share an ISA interrupt.
    pci_lines: u8,
    /// The 8259As' output, cached because every VM entry needs it.
    pic_output: bool,
    /// A level-triggered input of the I/O APIC is asserted and no local APIC accepted its message: the
    /// message is sent again when one may accept it.
    refused: bool,
}

impl InterruptControllers {
    /// The controllers of a board with `vcpus` processors, as firmware leaves them: the local APIC of the
    /// first processor in virtual wire mode, all interrupt inputs masked. The guest's TSCs run at `tsc_hz`
    /// from 0 at [`Instant::ZERO`].
    #[must_use]
    pub fn new(vcpus: u8, tsc_hz: u64) -> Self {
        let mut apics: Box<[LocalApic]> =
            (0..vcpus.max(1)).map(|id| LocalApic::new(id.into(), tsc_hz, id == 0)).collect();
        if let Some(bootstrap) = apics.first_mut() {
            bootstrap.enter_virtual_wire_mode();
        }
        let mut pic = Pic::new();
        // What several devices can share is level-triggered: PCI's interrupts and ACPI's.
        let level = layout::PCI_IRQS.iter().fold(1u16 << layout::SCI_GSI, |level, irq| level | 1 << irq);
        for (port, byte) in (ELCR..).zip(level.to_le_bytes()) {
            pic.write(port, byte);
        }
        Self { apics, io_apic: VirtualIoApic::new(), pic, pci_lines: 0, pic_output: false, refused: false }
    }

    /// Sets the level of ISA interrupt `line` (0 to 15) or global system interrupt `line` (16 to 23). The latter
    /// also reach the 8259As, and the inputs of ISA interrupts, for guests that do not use the routing table for
    /// the I/O APIC: the DSDT's \_PIC method chooses between two, and the Interrupt Line register has a third
    /// answer for guests without ACPI [ACPI 6.5 5.8.1, 6.2.13; PCI 3.0 6.2.4].
    pub fn set_line(&mut self, line: u8, asserted: bool) -> Effects {
        if line < FIRST_PCI_GSI {
            return self.set_isa_line(line, asserted);
        }
        let lines = 1 << (line & 7);
        self.pci_lines = if asserted { self.pci_lines | lines } else { self.pci_lines & !lines };
        let shared = (0..8)
            .any(|other| self.pci_lines >> other & 1 == 1 && layout::pci_irq(other) == layout::pci_irq(line));
        self.set_input(line, asserted) | self.set_isa_line(layout::pci_irq(line), shared)
    }

    fn set_isa_line(&mut self, line: u8, asserted: bool) -> Effects {
        self.pic.set_line(line, asserted);
        let effects = self.follow_pic();
        let input = match line {
            0 => IRQ0_INPUT,
            // The cascade of the 8259As: no device uses it.
            2 => return effects,
            line => line,
        };
        effects | self.set_input(input, asserted)
    }

    /// Handles a device's write of `data` to `address`: an interrupt if the address is that of a
    /// message-signalled one.
    pub fn msi(&mut self, address: u64, data: u32) -> Effects {
        InterruptMessage::from_msi(address, data).map_or(Effects::empty(), |message| self.route(&message))
    }

    /// True when an interrupt waits for `vcpu`, which takes it as soon as RFLAGS.IF and its interruptibility
    /// allow.
    #[must_use]
    pub fn pending(&self, vcpu: u8) -> bool {
        let Some(apic) = self.apic(vcpu) else { return false };
        apic.pending().is_some() || self.external_pending(apic)
    }

    /// Acknowledges the interrupt that waits for `vcpu` and returns its vector; None when there is none.
    pub fn acknowledge(&mut self, vcpu: u8) -> Option<u8> {
        let apic = self.apics.get_mut(usize::from(vcpu))?;
        if self.pic_output && apic.takes_external_interrupts() {
            apic.external_interrupt_taken();
            let vector = self.pic.acknowledge();
            // Only the output can change, which `pending` shows.
            let _ = self.follow_pic();
            return Some(vector);
        }
        apic.pending()?;
        Some(apic.begin_service())
    }

    /// True when a non-maskable interrupt waits for `vcpu`.
    #[must_use]
    pub fn nmi_pending(&self, vcpu: u8) -> bool {
        self.apic(vcpu).is_some_and(LocalApic::nmi_pending)
    }

    /// Takes the non-maskable interrupt that waits for `vcpu`; false when there is none.
    pub fn take_nmi(&mut self, vcpu: u8) -> bool {
        self.apics.get_mut(usize::from(vcpu)).is_some_and(LocalApic::take_nmi)
    }

    /// True when an INIT for `vcpu` has arrived since the last call.
    pub fn take_init(&mut self, vcpu: u8) -> bool {
        self.apics.get_mut(usize::from(vcpu)).is_some_and(LocalApic::take_init)
    }

    /// The page number of the first instruction, from a start-up message for `vcpu` that has arrived since
    /// the last call.
    pub fn take_start_up(&mut self, vcpu: u8) -> Option<u8> {
        self.apics.get_mut(usize::from(vcpu))?.take_start_up()
    }

    /// True when IA32_APIC_BASE enables the local APIC of `vcpu`, which CPUID leaf 1 shows.
    #[must_use]
    pub fn enabled(&self, vcpu: u8) -> bool {
        self.apic(vcpu).is_some_and(LocalApic::enabled)
    }

    /// The local APIC of `vcpu`.
    #[must_use]
    pub fn apic(&self, vcpu: u8) -> Option<&LocalApic> {
        self.apics.get(usize::from(vcpu))
    }

    /// CR8 of `vcpu`.
    #[must_use]
    pub fn task_priority(&self, vcpu: u8) -> u8 {
        self.apic(vcpu).map_or(0, LocalApic::task_priority)
    }

    /// True when an interrupt for `vcpu` waits for a lower task priority.
    #[must_use]
    pub fn waits_for_task_priority(&self, vcpu: u8) -> bool {
        self.apic(vcpu).is_some_and(LocalApic::waits_for_task_priority)
    }

    /// Writes CR8 of `vcpu`; the caller has refused values above 15.
    pub fn set_task_priority(&mut self, vcpu: u8, cr8: u8) -> Effects {
        let apic = self.apics.get_mut(usize::from(vcpu));
        apic.map_or(Effects::empty(), |apic| apic.set_task_priority(cr8))
    }

    /// Reads the local APIC's or I/O APIC's registers; None at other addresses. A narrow read returns its
    /// part of the register.
    pub fn mmio_read(
        &mut self,
        vcpu: u8,
        address: GuestPhysical,
        width: Width,
        now: Instant,
    ) -> Option<(u64, Effects)> {
        let (page, offset) = page_and_offset(address)?;
        let (register, part) = (offset & !3, offset & 3);
        let value = match page {
            ApicPage::IoApic => self.io_apic.read(register),
            ApicPage::LocalApic => self.apics.get_mut(usize::from(vcpu))?.read(register, now),
        };
        Some((u64::from(value) >> (8 * part) & width.mask(), Effects::empty()))
    }

    /// Writes the local APIC's or I/O APIC's registers; None at other addresses. Only aligned accesses of 32
    /// bits are defined; others are ignored, except that IOREGSEL takes a byte.
    pub fn mmio_write(
        &mut self,
        vcpu: u8,
        address: GuestPhysical,
        width: Width,
        value: u64,
        now: Instant,
    ) -> Option<Effects> {
        let (page, offset) = page_and_offset(address)?;
        let value = low_u32(value & width.mask());
        Some(match (page, width) {
            (ApicPage::IoApic, Width::Byte) if offset == 0 => self.write_io_apic(offset, value),
            (ApicPage::IoApic, Width::Dword) => self.write_io_apic(offset, value),
            (ApicPage::LocalApic, Width::Dword) => {
                let access = self.apics.get_mut(usize::from(vcpu))?.write(offset, value, now);
                self.complete(vcpu, access)
            }
            _ => Effects::empty(),
        })
    }

    /// Reads a port of the 8259As or of the edge/level control registers.
    pub fn port_read(&mut self, port: u16) -> (u8, Effects) {
        let value = self.pic.read(port);
        (value, self.follow_pic())
    }

    /// Writes a port of the 8259As or of the edge/level control registers.
    pub fn port_write(&mut self, port: u16, value: u8) -> Effects {
        self.pic.write(port, value);
        self.follow_pic()
    }

    /// Reads IA32_APIC_BASE, IA32_TSC_DEADLINE or a register of the x2APIC.
    ///
    /// # Errors
    /// See [`LocalApic::read_msr`].
    pub fn read_msr(&mut self, vcpu: u8, msr: u32, now: Instant) -> Result<u64, GeneralProtection> {
        self.apics.get_mut(usize::from(vcpu)).ok_or(GeneralProtection { msr })?.read_msr(msr, now)
    }

    /// Writes IA32_APIC_BASE, IA32_TSC_DEADLINE or a register of the x2APIC.
    ///
    /// # Errors
    /// See [`LocalApic::write_msr`].
    pub fn write_msr(
        &mut self,
        vcpu: u8,
        msr: u32,
        value: u64,
        now: Instant,
    ) -> Result<Effects, GeneralProtection> {
        let apic = self.apics.get_mut(usize::from(vcpu)).ok_or(GeneralProtection { msr })?;
        let access = apic.write_msr(msr, value, now)?;
        Ok(self.complete(vcpu, access))
    }

    /// When [`InterruptControllers::advance`] must be called next for a local APIC's timer.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.apics.iter().filter_map(LocalApic::next_deadline).min()
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Instant) -> Effects {
        self.apics.iter_mut().fold(Effects::empty(), |effects, apic| effects | apic.advance(now))
    }

    fn external_pending(&self, apic: &LocalApic) -> bool {
        self.pic_output && apic.takes_external_interrupts()
    }

    fn write_io_apic(&mut self, offset: u16, value: u32) -> Effects {
        match VirtualIoApic::ended_by_write(offset, value) {
            Some(vector) => self.end(vector),
            None => {
                self.io_apic.write(offset, value);
                self.send_due()
            }
        }
    }

    /// Carries out the consequences of an access to the local APIC of `vcpu`.
    fn complete(&mut self, vcpu: u8, access: ApicAccess) -> Effects {
        let ended = access.eoi.map_or(Effects::empty(), |vector| self.end(vector));
        let sent = access.ipi.map_or(Effects::empty(), |ipi| self.send(vcpu, &ipi));
        let effects = access.effects | ended | sent;
        // The access may have enabled the local APIC or changed which destinations it matches.
        if self.refused { effects | self.send_due() } else { effects }
    }

    /// Tells the I/O APIC that the level-triggered interrupt `vector` has ended.
    fn end(&mut self, vector: u8) -> Effects {
        self.io_apic.eoi(vector);
        self.send_due()
    }

    /// Sends the messages that are due at inputs of the I/O APIC.
    fn send_due(&mut self) -> Effects {
        self.refused = false;
        (0..INPUTS).fold(Effects::empty(), |effects, input| match self.io_apic.due(input) {
            Some(message) => effects | self.send_from(input, &message),
            None => effects,
        })
    }

    /// Delivers `message` from the I/O APIC's `input`. The local APIC that accepted a level-triggered
    /// interrupt ends it, so one that no local APIC accepts (disabled or absent) must wait at the input.
    fn send_from(&mut self, input: u8, message: &InterruptMessage) -> Effects {
        let accepts = |apic: &LocalApic| apic.is_destination(message) && apic.accepts_fixed();
        if message.level && !self.apics.iter().any(accepts) {
            self.io_apic.refused(input);
            self.refused = true;
            return Effects::empty();
        }
        self.route(message)
    }

    fn send(&mut self, sender: u8, ipi: &Ipi) -> Effects {
        let chosen = |index: usize, apic: &LocalApic| match ipi.shorthand {
            Shorthand::Destination => apic.is_destination(&ipi.message),
            Shorthand::Itself => index == usize::from(sender),
            Shorthand::Everyone => true,
            Shorthand::Others => index != usize::from(sender),
        };
        deliver(&mut self.apics, &ipi.message, chosen)
    }

    fn route(&mut self, message: &InterruptMessage) -> Effects {
        deliver(&mut self.apics, message, |_, apic| apic.is_destination(message))
    }

    fn set_input(&mut self, input: u8, asserted: bool) -> Effects {
        let message = self.io_apic.set_line(input, asserted);
        message.map_or(Effects::empty(), |message| self.send_from(input, &message))
    }

    /// Propagates a change of the 8259As' output to the inputs that it is wired to.
    fn follow_pic(&mut self) -> Effects {
        let output = self.pic.output();
        if output == self.pic_output {
            return Effects::empty();
        }
        self.pic_output = output;
        let mut effects = Effects::IRQ_CHANGED;
        for apic in &mut self.apics {
            effects |= apic.set_lint0(output);
        }
        effects | self.set_input(PIC_INPUT, output)
    }
}

/// Delivers `message` to the `chosen` local APICs: to all of them or, in lowest-priority mode, to the first
/// of those with the lowest processor priority [SDM3A 11.6.2.4].
fn deliver(
    apics: &mut [LocalApic],
    message: &InterruptMessage,
    chosen: impl Fn(usize, &LocalApic) -> bool,
) -> Effects {
    let chosen = apics.iter_mut().enumerate().filter(|(index, apic)| chosen(*index, apic));
    let chosen = chosen.map(|(_, apic)| apic);
    if message.mode == DeliveryMode::LowestPriority {
        let lowest = chosen.min_by_key(|apic| (!apic.accepts_fixed(), apic.processor_priority()));
        return lowest.map_or(Effects::empty(), |apic| apic.deliver(message));
    }
    chosen.fold(Effects::empty(), |effects, apic| effects | apic.deliver(message))
}

#[derive(Clone, Copy)]
enum ApicPage {
    LocalApic,
    IoApic,
}

fn page_and_offset(address: GuestPhysical) -> Option<(ApicPage, u16)> {
    let within = |start: u64| address.0.checked_sub(start).filter(|offset| *offset < PAGE);
    let local = within(layout::LOCAL_APIC).map(|offset| (ApicPage::LocalApic, offset));
    let (page, offset) =
        local.or_else(|| within(layout::IO_APIC).map(|offset| (ApicPage::IoApic, offset)))?;
    Some((page, u16::try_from(offset).ok()?))
}

#[cfg(test)]
mod tests;
