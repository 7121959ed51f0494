//! The machine's timers, one of which the time-stamp counter is measured with.

use crate::calibration::{
    CalibrationError, Chosen, Counters, FrequencyLeaves, Measured, ReferenceTimer, measure,
};
use crate::fadt::Register;
use crate::info::MachineInfo;
use crate::io::MachineIo;
use base::HostPhysical;

/// The ACPI PM timer [ACPI 6.5 4.8.2.1].
const PM_TIMER_HZ: u64 = 3_579_545;
/// The PIT, of whose channels the third is not wired to an interrupt [8254].
const PIT_HZ: u64 = 1_193_182;
/// The PIT's control port, its channel 2, and the port with that channel's gate in bit 0 and the speaker in bit 1.
const PIT_CONTROL: u16 = 0x43;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_GATE: u16 = 0x61;
/// Channel 2, low byte then high byte, mode 0; and the command that latches its count.
const PIT_MODE: u8 = 0b1011_0000;
const PIT_LATCH: u8 = 0b1000_0000;
/// HPET: period in femtoseconds, configuration with the enable bit, counter [IA-PC HPET 2.3].
const HPET_PERIOD: u64 = 0x04;
const HPET_CONFIGURATION: u64 = 0x10;
const HPET_COUNTER: u64 = 0xf0;
const FEMTOSECONDS: u64 = 1_000_000_000_000_000;
/// The longest period that the specification allows, and one shorter than any HPET has. A period that short would put the
/// end of a window beyond the counter, and it would be waited for.
const HPET_LONGEST: u32 = 0x05f5_e100;
const HPET_SHORTEST: u32 = 100_000;

/// Where the count is read.
#[derive(Clone, Copy)]
enum CountPlace {
    Port(u16),
    Memory(HostPhysical),
    Pit,
}

struct Timer<'a> {
    io: &'a mut dyn MachineIo,
    count: CountPlace,
}

impl Counters for Timer<'_> {
    fn timer(&mut self) -> u64 {
        match self.count {
            CountPlace::Port(port) => self.io.in32(port).into(),
            CountPlace::Memory(at) => self.io.read(at).into(),
            CountPlace::Pit => {
                self.io.out8(PIT_CONTROL, PIT_LATCH);
                // It counts down.
                let count = [self.io.in8(PIT_CHANNEL_2), self.io.in8(PIT_CHANNEL_2)];
                u64::from(u16::MAX - u16::from_le_bytes(count))
            }
        }
    }

    fn tsc(&mut self) -> u64 {
        self.io.tsc()
    }
}

/// Finds the frequency of the time-stamp counter: with the first timer that counts, and by what CPUID says. `None` when
/// neither tells it. `failed` hears of timers that are there and do not serve.
pub fn tsc_frequency(
    machine: &MachineInfo<'_>,
    leaves: FrequencyLeaves,
    io: &mut dyn MachineIo,
    failed: &mut dyn FnMut(&'static str, CalibrationError),
) -> Option<Chosen> {
    let mut measured = None;
    for timer in [pm_timer, hpet, pit] {
        match timer(machine, io) {
            (name, Some(Ok(found))) => {
                measured = Some((found, name));
                break;
            }
            (name, Some(Err(error))) => failed(name, error),
            (_, None) => {}
        }
    }
    Chosen::choose(measured, leaves.claim())
}

/// A timer's name, and what came of it if it is there.
type Outcome = (&'static str, Option<Result<Measured, CalibrationError>>);

fn pm_timer(machine: &MachineInfo<'_>, io: &mut dyn MachineIo) -> Outcome {
    let bits = if machine.fadt.pm_timer_32_bits { 32 } else { 24 };
    let count = match machine.fadt.pm_timer {
        Some(Register::Port(port)) => Some(CountPlace::Port(port)),
        Some(Register::Memory(at)) if at.0.is_multiple_of(4) => Some(CountPlace::Memory(at)),
        _ => None,
    };
    let timer = ReferenceTimer { hz: PM_TIMER_HZ, mask: (1 << bits) - 1 };
    ("PM timer", count.map(|count| measure(timer, &mut Timer { io, count })))
}

fn hpet(machine: &MachineInfo<'_>, io: &mut dyn MachineIo) -> Outcome {
    let at = |offset| machine.hpet.and_then(|base| base.0.checked_add(offset)).map(HostPhysical);
    let measured = || {
        let (configuration, counter) = (at(HPET_CONFIGURATION)?, at(HPET_COUNTER)?);
        let period = Some(io.read(at(HPET_PERIOD)?))
            .filter(|period| (HPET_SHORTEST..=HPET_LONGEST).contains(period))?;
        let before = io.read(configuration);
        io.write(configuration, before | 1);
        let timer = ReferenceTimer { hz: FEMTOSECONDS / u64::from(period), mask: u32::MAX.into() };
        let measured = measure(timer, &mut Timer { io, count: CountPlace::Memory(counter) });
        io.write(configuration, before);
        Some(measured)
    };
    ("HPET", { measured }())
}

/// The PIT is described nowhere. Channel 2 drives the speaker alone, which is switched off meanwhile.
fn pit(_: &MachineInfo<'_>, io: &mut dyn MachineIo) -> Outcome {
    let before = io.in8(PIT_GATE);
    io.out8(PIT_GATE, before & !0b10 | 0b01);
    io.out8(PIT_CONTROL, PIT_MODE);
    io.out8(PIT_CHANNEL_2, 0xff);
    io.out8(PIT_CHANNEL_2, 0xff);
    let timer = ReferenceTimer { hz: PIT_HZ, mask: u16::MAX.into() };
    let measured = measure(timer, &mut Timer { io, count: CountPlace::Pit });
    // The upper half of the port is read-only.
    io.out8(PIT_GATE, before & 0x0f);
    ("PIT", Some(measured))
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
