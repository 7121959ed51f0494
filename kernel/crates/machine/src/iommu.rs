//! Switching an IOMMU off.
//!
//! Weir does not use IOMMUs. Firmware that protects itself against DMA before an operating system starts may leave one
//! on, or block ranges of memory; then a NIC reads no descriptor, and its interrupts are blocked. All DMA has been
//! stopped before.

use crate::io::MachineIo;
use crate::other_tables::{IommuKind, IommuUnit};
use base::HostPhysical;

/// The registers of a unit among those of the machine.
struct UnitRegisters<'a> {
    io: &'a mut dyn MachineIo,
    at: HostPhysical,
}

impl UnitRegisters<'_> {
    fn address(&self, offset: u64) -> HostPhysical {
        HostPhysical(self.at.0.saturating_add(offset) & !3)
    }

    fn read(&mut self, offset: u64) -> u32 {
        self.io.read(self.address(offset))
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.io.write(self.address(offset), value);
    }
}

/// Switches a unit of the machine off, if it is on.
///
/// # Errors
/// [`IommuError`]: DMA and messages of devices may not arrive.
pub fn switch_off(unit: IommuUnit, io: &mut dyn MachineIo) -> Result<IommuState, IommuError> {
    let registers = &mut UnitRegisters { io, at: unit.at };
    match unit.kind {
        IommuKind::Dmar => dmar_off(registers),
        IommuKind::Ivrs => ivrs_off(registers),
    }
}

/// What a unit was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuState {
    /// Nothing.
    Off,
    /// It translated addresses, remapped interrupts or protected memory, and does so no longer.
    SwitchedOff,
}

/// Why a unit is still on, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IommuError {
    /// Its registers read as ones.
    #[error("it does not answer")]
    Absent,
    /// It does not stop translating addresses.
    #[error("it does not stop translating addresses")]
    Translates,
    /// It does not stop protecting ranges of memory.
    #[error("it does not stop protecting memory")]
    Protects,
    /// It does not stop remapping interrupts.
    #[error("it does not stop remapping interrupts")]
    Remaps,
}

/// Microseconds to wait for each step. Units finish what is on its way first, which takes far less.
const LIMIT: u32 = 10_000;

/// Registers of VT-d [VT-d 4.1 11.4]: global command and status, protected memory enable.
const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const PMEN: u64 = 0x64;
const TRANSLATION: u32 = 1 << 31;
const INTERRUPT_REMAPPING: u32 = 1 << 25;
const QUEUED_INVALIDATION: u32 = 1 << 26;
/// Bits of status that command one-time actions if written back: root table, fault log, write buffer, interrupt table
/// [VT-d 4.1 11.4.4.1].
const ONE_TIME: u32 = 1 << 30 | 1 << 29 | 1 << 27 | 1 << 24;
const PMEN_ENABLE: u32 = 1 << 31;
const PMEN_STATUS: u32 = 1 << 0;

/// Registers of AMD's IOMMU [AMD IOMMU 3.4]: control and status. What counts is in the low halves.
const CONTROL: u64 = 0x18;
const STATUS: u64 = 0x2020;
const IOMMU_EN: u32 = 1 << 0;
/// Event log and its interrupt, completion wait interrupt, command buffer, peripheral page requests, guest log.
const CONTROL_QUEUES: u32 =
    1 << 2 | 1 << 3 | 1 << 4 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 28 | 1 << 29;
/// Event log, command buffer, page request log and guest log run.
const STATUS_RUN: u32 = 1 << 3 | 1 << 4 | 1 << 7 | 1 << 8;

/// Translation first, then the protected ranges, which translation overrides, then interrupts, then the queue through
/// which caches are invalidated, since remapping needs it as long as it is on.
fn dmar_off(registers: &mut UnitRegisters<'_>) -> Result<IommuState, IommuError> {
    let status = registers.read(GSTS);
    let protection = registers.read(PMEN);
    if status == u32::MAX {
        return Err(IommuError::Absent);
    }
    let on = TRANSLATION | INTERRUPT_REMAPPING | QUEUED_INVALIDATION;
    let protects = protection != u32::MAX && protection & (PMEN_ENABLE | PMEN_STATUS) != 0;
    if status & on == 0 && !protects {
        return Ok(IommuState::Off);
    }
    clear_command(registers, TRANSLATION, IommuError::Translates)?;
    if protects {
        registers.write(PMEN, protection & !PMEN_ENABLE);
        wait(registers, PMEN, PMEN_STATUS, IommuError::Protects)?;
    }
    clear_command(registers, INTERRUPT_REMAPPING, IommuError::Remaps)?;
    clear_command(registers, QUEUED_INVALIDATION, IommuError::Remaps)?;
    Ok(IommuState::SwitchedOff)
}

/// Clears one bit of command; all others are written as status shows them [VT-d 4.1 11.4.4.1].
fn clear_command(registers: &mut UnitRegisters<'_>, bit: u32, error: IommuError) -> Result<(), IommuError> {
    let status = registers.read(GSTS);
    if status & bit == 0 {
        return Ok(());
    }
    registers.write(GCMD, status & !ONE_TIME & !bit);
    wait(registers, GSTS, bit, error)
}

fn ivrs_off(registers: &mut UnitRegisters<'_>) -> Result<IommuState, IommuError> {
    let control = registers.read(CONTROL);
    if control == u32::MAX {
        return Err(IommuError::Absent);
    }
    if control & (IOMMU_EN | CONTROL_QUEUES) == 0 {
        return Ok(IommuState::Off);
    }
    registers.write(CONTROL, control & !CONTROL_QUEUES);
    // Whether its logs and buffer have stopped does not matter once the unit is off.
    let _ = wait(registers, STATUS, STATUS_RUN, IommuError::Translates);
    registers.write(CONTROL, control & !CONTROL_QUEUES & !IOMMU_EN);
    wait(registers, CONTROL, IOMMU_EN, IommuError::Translates)?;
    Ok(IommuState::SwitchedOff)
}

/// Waits until `bits` of a register are clear.
fn wait(
    registers: &mut UnitRegisters<'_>,
    offset: u64,
    bits: u32,
    error: IommuError,
) -> Result<(), IommuError> {
    for _ in 0..LIMIT {
        if registers.read(offset) & bits == 0 {
            return Ok(());
        }
        registers.io.wait(1);
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const AT: HostPhysical = HostPhysical(0xfed9_0000);

    /// The unit as part of a machine that has nothing else.
    struct Alone<'a, U>(&'a mut U);

    trait IommuRegisters {
        fn read(&mut self, offset: u64) -> u32;
        fn write(&mut self, offset: u64, value: u32);
        fn pause(&mut self);
    }

    impl<U: IommuRegisters> MachineIo for Alone<'_, U> {
        fn in8(&mut self, _: u16) -> u8 {
            0xff
        }
        fn out8(&mut self, _: u16, _: u8) {}
        fn in16(&mut self, _: u16) -> u16 {
            0xffff
        }
        fn out16(&mut self, _: u16, _: u16) {}
        fn in32(&mut self, _: u16) -> u32 {
            u32::MAX
        }
        fn read(&mut self, at: HostPhysical) -> u32 {
            self.0.read(at.0 - AT.0)
        }
        fn write(&mut self, at: HostPhysical, value: u32) {
            self.0.write(at.0 - AT.0, value);
        }
        fn read_pci(&mut self, _: u8, _: u8, _: u8) -> u32 {
            u32::MAX
        }
        fn write_pci(&mut self, _: u8, _: u8, _: u8, _: u32) {}
        fn tsc(&mut self) -> u64 {
            0
        }
        fn wait(&mut self, _: u64) {
            self.0.pause();
        }
    }

    fn off(kind: IommuKind, unit: &mut impl IommuRegisters) -> Result<IommuState, IommuError> {
        switch_off(IommuUnit { kind, at: AT }, &mut Alone(unit))
    }

    /// A unit that obeys after some time, and records what is written.
    struct Fake {
        status: u32,
        protection: u32,
        /// Bits that stay set.
        stubborn: u32,
        delay: u32,
        pending: Option<(u64, u32, u32)>,
        written: Vec<(u64, u32)>,
    }

    impl Fake {
        fn new(status: u32, protection: u32) -> Self {
            Self { status, protection, stubborn: 0, delay: 3, pending: None, written: Vec::new() }
        }
    }

    impl IommuRegisters for Fake {
        fn read(&mut self, offset: u64) -> u32 {
            match offset {
                GSTS => self.status,
                PMEN => self.protection,
                _ => 0,
            }
        }

        fn write(&mut self, offset: u64, value: u32) {
            assert!(self.pending.is_none(), "a command before the last one was done");
            self.written.push((offset, value));
            self.pending = Some((offset, value, self.delay));
        }

        fn pause(&mut self) {
            let Some((offset, value, delay)) = &mut self.pending else { return };
            *delay = delay.saturating_sub(1);
            if *delay > 0 {
                return;
            }
            match *offset {
                GCMD => self.status = self.status & (ONE_TIME | self.stubborn) | *value,
                PMEN => self.protection = *value & !PMEN_STATUS | self.protection & self.stubborn,
                _ => {}
            }
            self.pending = None;
        }
    }

    const ROOT_TABLE: u32 = 1 << 30;
    const INTERRUPT_TABLE: u32 = 1 << 24;

    #[test]
    fn a_unit_that_is_off_is_left_alone() {
        let mut unit = Fake::new(ROOT_TABLE, 0);
        assert_eq!(off(IommuKind::Dmar, &mut unit), Ok(IommuState::Off));
        assert!(unit.written.is_empty());
    }

    #[test]
    fn a_unit_that_does_everything_is_switched_off_in_order() {
        let on = TRANSLATION | INTERRUPT_REMAPPING | QUEUED_INVALIDATION;
        let mut unit = Fake::new(on | ROOT_TABLE | INTERRUPT_TABLE, PMEN_ENABLE | PMEN_STATUS);
        assert_eq!(off(IommuKind::Dmar, &mut unit), Ok(IommuState::SwitchedOff));
        let expected = [
            (GCMD, INTERRUPT_REMAPPING | QUEUED_INVALIDATION),
            (PMEN, PMEN_STATUS),
            (GCMD, QUEUED_INVALIDATION),
            (GCMD, 0),
        ];
        assert_eq!(unit.written, expected);
        assert_eq!((unit.status & on, unit.protection), (0, 0));
    }

    #[test]
    fn memory_that_is_protected_without_translation_is_freed() {
        let mut unit = Fake::new(0, PMEN_ENABLE | PMEN_STATUS);
        assert_eq!(off(IommuKind::Dmar, &mut unit), Ok(IommuState::SwitchedOff));
        assert_eq!(unit.written, [(PMEN, PMEN_STATUS)]);
    }

    #[test]
    fn a_unit_that_does_not_obey_is_given_up_in_time() {
        let cases = [
            (Fake::new(TRANSLATION, 0), TRANSLATION, IommuError::Translates),
            (Fake::new(INTERRUPT_REMAPPING, 0), INTERRUPT_REMAPPING, IommuError::Remaps),
            (Fake::new(0, PMEN_ENABLE | PMEN_STATUS), PMEN_STATUS, IommuError::Protects),
        ];
        for (mut unit, stubborn, error) in cases {
            unit.stubborn = stubborn;
            assert_eq!(off(IommuKind::Dmar, &mut unit), Err(error));
        }
    }

    #[test]
    fn a_unit_that_is_not_there_is_not_waited_for() {
        let mut unit = Fake::new(u32::MAX, u32::MAX);
        assert_eq!(off(IommuKind::Dmar, &mut unit), Err(IommuError::Absent));
        assert!(unit.written.is_empty());
    }

    /// A unit of the other kind, which obeys at once.
    struct Other {
        control: u32,
        written: Vec<(u64, u32)>,
    }

    impl IommuRegisters for Other {
        fn read(&mut self, offset: u64) -> u32 {
            if offset == CONTROL { self.control } else { 0 }
        }

        fn write(&mut self, offset: u64, value: u32) {
            self.written.push((offset, value));
            self.control = value;
        }

        fn pause(&mut self) {}
    }

    #[test]
    fn the_other_kind_stops_its_queues_before_itself() {
        // HtTunEn and Coherent stay.
        let kept = 1 << 1 | 1 << 10;
        let mut unit = Other { control: IOMMU_EN | 1 << 2 | 1 << 12 | kept, written: Vec::new() };
        assert_eq!(off(IommuKind::Ivrs, &mut unit), Ok(IommuState::SwitchedOff));
        assert_eq!(unit.written, [(CONTROL, kept | IOMMU_EN), (CONTROL, kept)]);
        let mut unit = Other { control: kept, written: Vec::new() };
        assert_eq!(off(IommuKind::Ivrs, &mut unit), Ok(IommuState::Off));
        let mut unit = Other { control: u32::MAX, written: Vec::new() };
        assert_eq!(off(IommuKind::Ivrs, &mut unit), Err(IommuError::Absent));
    }
}
