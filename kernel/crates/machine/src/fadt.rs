//! FADT: timers, power and reset [ACPI 6.5 5.2.9].

use crate::bytes::{u8_at, u32_at, u64_at};
use base::HostPhysical;

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// At this I/O port.
    Port(u16),
    /// In memory.
    Memory(HostPhysical),
    /// In the configuration space of a device on bus 0.
    PciConfiguration {
        /// Its device number.
        device: u8,
        /// Its function number.
        function: u8,
        /// Offset in its first 256 bytes.
        offset: u8,
    },
}

impl Register {
    /// Reads a generic address structure [ACPI 6.5 5.2.3.2]; `None` if it is empty, in another space, or at an
    /// address that the space does not have.
    fn parse(table: &[u8], offset: usize) -> Option<Self> {
        let address = u64_at(table, offset + 4)?;
        match u8_at(table, offset)? {
            _ if address == 0 => None,
            0 => Some(Self::Memory(HostPhysical(address))),
            1 => u16::try_from(address).ok().map(Self::Port),
            2 => {
                let [offset_low, offset_high, function, _, device, ..] = address.to_le_bytes();
                (device < 32 && function < 8 && offset_high == 0).then_some(Self::PciConfiguration {
                    device,
                    function,
                    offset: offset_low,
                })
            }
            _ => None,
        }
    }
}

/// What FADT says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fadt {
    /// The machine has none of ACPI's fixed hardware: neither PM timer nor PM1 registers.
    pub hardware_reduced: bool,
    /// The PM timer.
    pub pm_timer: Option<Register>,
    /// Whether the PM timer has 32 bits instead of 24.
    pub pm_timer_32_bits: bool,
    /// PM1 control, of the first and of the second block.
    pub pm1_control: [Option<Register>; 2],
    /// Sleep control, which hardware-reduced machines have in place of PM1 control.
    pub sleep_control: Option<Register>,
    /// The register that resets the machine, and the value to write.
    pub reset: Option<(Register, u8)>,
    /// Address of the DSDT.
    pub dsdt: HostPhysical,
}

/// Offsets [ACPI 6.5 table 5.9].
const DSDT: usize = 40;
const PM1A_CONTROL: usize = 64;
const PM1B_CONTROL: usize = 68;
const PM_TIMER: usize = 76;
const FLAGS: usize = 112;
const RESET: usize = 116;
const RESET_VALUE: usize = 128;
const X_DSDT: usize = 140;
const X_PM1A_CONTROL: usize = 172;
const X_PM1B_CONTROL: usize = 184;
const X_PM_TIMER: usize = 208;
const SLEEP_CONTROL: usize = 244;

/// Flags [ACPI 6.5 table 5.10].
const TMR_VAL_EXT: u32 = 1 << 8;
const RESET_REG_SUP: u32 = 1 << 10;
const HW_REDUCED_ACPI: u32 = 1 << 20;

impl Fadt {
    /// Reads the table. Fields that an older and shorter table lacks stay empty.
    #[must_use]
    pub fn parse(table: &[u8]) -> Self {
        let flags = u32_at(table, FLAGS).unwrap_or(0);
        let hardware_reduced = flags & HW_REDUCED_ACPI != 0;
        // Where both fields are there, the extended one counts.
        let register = |extended: usize, port: usize| {
            let old = || u32_at(table, port).filter(|port| *port != 0);
            let old = || old().and_then(|port| u16::try_from(port).ok()).map(Register::Port);
            Register::parse(table, extended).or_else(old).filter(|_| !hardware_reduced)
        };
        let x_dsdt = u64_at(table, X_DSDT).filter(|at| *at != 0);
        let dsdt = x_dsdt.or_else(|| u32_at(table, DSDT).map(u64::from)).unwrap_or(0);
        let reset = Register::parse(table, RESET).zip(u8_at(table, RESET_VALUE));
        Self {
            hardware_reduced,
            pm_timer: register(X_PM_TIMER, PM_TIMER),
            pm_timer_32_bits: flags & TMR_VAL_EXT != 0,
            pm1_control: [register(X_PM1A_CONTROL, PM1A_CONTROL), register(X_PM1B_CONTROL, PM1B_CONTROL)],
            sleep_control: Register::parse(table, SLEEP_CONTROL).filter(|_| hardware_reduced),
            reset: reset.filter(|_| flags & RESET_REG_SUP != 0),
            dsdt: HostPhysical(dsdt),
        }
    }
}
