//! The register writes that switch the machine off or reset it.
//!
//! The steps are taken one by one; the machine goes away at one of them.

use crate::fadt::{Fadt, Register};
use crate::io::{MachineIo, change};

/// The values that select S5, soft off, for PM1a and PM1b [ACPI 6.5 7.4.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepTypes {
    /// For PM1a control and for sleep control.
    pub a: u8,
    /// For PM1b control.
    pub b: u8,
}

/// A register write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerStep {
    /// Reads 16 bits, keeps those of `keep`, sets those of `set`, writes the result.
    Update16 {
        /// The register.
        at: Register,
        /// Bits that stay.
        keep: u16,
        /// Bits that are set.
        set: u16,
    },
    /// Writes 8 bits.
    Write8 {
        /// The register.
        at: Register,
        /// What is written.
        value: u8,
    },
    /// Gives the machine time to go away.
    Wait,
}

/// Steps to take.
pub type PowerSteps = heapless::Vec<PowerStep, 8>;

/// PM1 control: sleep type in bits 12:10, sleep enable in bit 13. The others, SCI_EN among them, are kept
/// [ACPI 6.5 4.8.3.2.1].
const SLEEP_TYPE: u16 = 7 << 10;
const SLEEP_ENABLE: u16 = 1 << 13;
/// Sleep control: sleep type in bits 4:2, sleep enable in bit 5 [ACPI 6.5 4.8.3.7].
const CONTROL_ENABLE: u8 = 1 << 5;

/// The reset control register of Intel's and similar chipsets [82371AB 4.2.6.1]: bit 1 selects a hard reset, and
/// setting bit 2 starts it.
const RESET_CONTROL: Register = Register::Port(0xcf9);
const HARD_RESET: u8 = 1 << 1;
const RESET_CPU: u8 = 1 << 2;
/// The keyboard controller's command port, and the command that pulses the processor's reset line.
const KEYBOARD_COMMAND: Register = Register::Port(0x64);
const PULSE_RESET: u8 = 0xfe;

/// How to enter S5. Empty if the firmware describes no way.
#[must_use]
pub fn off(fadt: &Fadt, types: Option<SleepTypes>) -> PowerSteps {
    let mut steps = PowerSteps::new();
    let Some(SleepTypes { a, b }) = types else { return steps };
    let mut add = |step| {
        // There are at most five.
        let _ = steps.push(step);
    };
    if let Some(at) = fadt.sleep_control {
        add(PowerStep::Write8 { at, value: (a & 7) << 2 | CONTROL_ENABLE });
        return steps;
    }
    let [first @ Some(_), second] = fadt.pm1_control else { return steps };
    let blocks = [(first, a), (second, b)];
    let blocks = || blocks.iter().filter_map(|(at, value)| Some(((*at)?, u16::from(*value & 7) << 10)));
    let keep = !(SLEEP_TYPE | SLEEP_ENABLE);
    // The type into both blocks first: the machine may go away as soon as the first is enabled.
    blocks().for_each(|(at, value)| add(PowerStep::Update16 { at, keep, set: value }));
    blocks().for_each(|(at, value)| add(PowerStep::Update16 { at, keep, set: value | SLEEP_ENABLE }));
    steps
}

/// How to reset the machine: as FADT describes, then through the chipset, then through the keyboard controller. The
/// caller's own way, by the processor alone, comes after these.
#[must_use]
pub fn reset(fadt: &Fadt) -> PowerSteps {
    let mut steps = PowerSteps::new();
    let described = fadt.reset.map(|(at, value)| PowerStep::Write8 { at, value });
    let others = [
        PowerStep::Write8 { at: RESET_CONTROL, value: HARD_RESET },
        PowerStep::Write8 { at: RESET_CONTROL, value: HARD_RESET | RESET_CPU },
        PowerStep::Wait,
        PowerStep::Write8 { at: KEYBOARD_COMMAND, value: PULSE_RESET },
        PowerStep::Wait,
    ];
    for step in described.into_iter().flat_map(|step| [step, PowerStep::Wait]).chain(others) {
        // There are at most seven.
        let _ = steps.push(step);
    }
    steps
}

/// Takes the steps.
pub fn take(steps: &[PowerStep], io: &mut dyn MachineIo) {
    for step in steps {
        match *step {
            PowerStep::Update16 { at, keep, set } => {
                change(io, at, 16, &|old| old & u32::from(keep) | u32::from(set));
            }
            PowerStep::Write8 { at, value } => change(io, at, 8, &|_| value.into()),
            PowerStep::Wait => io.wait(GO_AWAY_MICROS),
        }
    }
}

/// Time that the machine is given to go away at a step.
const GO_AWAY_MICROS: u64 = 50_000;

/// The registers in memory among those of these steps.
pub fn memory_registers(steps: &PowerSteps) -> impl Iterator<Item = base::HostPhysical> {
    steps.iter().filter_map(|step| match *step {
        PowerStep::Update16 { at: Register::Memory(at), .. }
        | PowerStep::Write8 { at: Register::Memory(at), .. } => Some(at),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::HostPhysical;

    const PM1A: Register = Register::Port(0x604);
    const TYPES: Option<SleepTypes> = Some(SleepTypes { a: 5, b: 3 });

    #[test]
    fn power_off_keeps_the_other_bits_and_writes_both_blocks() {
        let pm1b = Register::Memory(HostPhysical(0xfed0_1000));
        let fadt = Fadt { pm1_control: [Some(PM1A), Some(pm1b)], ..Fadt::default() };
        let keep = 0b1100_0011_1111_1111;
        let expected = [
            PowerStep::Update16 { at: PM1A, keep, set: 5 << 10 },
            PowerStep::Update16 { at: pm1b, keep, set: 3 << 10 },
            PowerStep::Update16 { at: PM1A, keep, set: 5 << 10 | 1 << 13 },
            PowerStep::Update16 { at: pm1b, keep, set: 3 << 10 | 1 << 13 },
        ];
        assert_eq!(off(&fadt, TYPES), expected);
    }

    #[test]
    fn a_hardware_reduced_machine_has_one_register() {
        let at = Register::Memory(HostPhysical(0xfea0_0000));
        let fadt = Fadt { hardware_reduced: true, sleep_control: Some(at), ..Fadt::default() };
        assert_eq!(off(&fadt, TYPES), [PowerStep::Write8 { at, value: 5 << 2 | 1 << 5 }]);
    }

    #[test]
    fn without_registers_or_types_there_is_no_way() {
        assert!(off(&Fadt::default(), TYPES).is_empty());
        assert!(off(&Fadt { pm1_control: [Some(PM1A), None], ..Fadt::default() }, None).is_empty());
    }

    #[test]
    fn the_firmwares_reset_comes_first() {
        let at = Register::PciConfiguration { device: 31, function: 0, offset: 0x40 };
        let steps = reset(&Fadt { reset: Some((at, 6)), ..Fadt::default() });
        assert_eq!(steps[0], PowerStep::Write8 { at, value: 6 });
        assert_eq!(steps.last(), Some(&PowerStep::Wait));
        assert_eq!((steps.len(), reset(&Fadt::default()).len()), (7, 5));
    }
}
