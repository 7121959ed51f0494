use super::*;
use crate::calibration::FrequencySource;
use crate::power::{self, SleepTypes};
use alloc::vec;
use alloc::vec::Vec;

const TSC_HZ: u64 = 2_000_000_000;
const HPET: HostPhysical = HostPhysical(0xfed0_0000);

/// A machine whose every access takes a microsecond.
#[derive(Default)]
struct Fake {
    nanos: u64,
    pm_timer: Option<u16>,
    hpet_period: u32,
    hpet_on: bool,
    pit: bool,
    latched: Vec<u8>,
    pm1: u16,
    written: Vec<(u64, u32)>,
}

impl Fake {
    fn ticks(&mut self, hz: u64) -> u32 {
        self.nanos += 1000;
        (u128::from(self.nanos) * u128::from(hz) / 1_000_000_000) as u32
    }
}

impl MachineIo for Fake {
    fn in8(&mut self, port: u16) -> u8 {
        self.nanos += 1000;
        if port == PIT_CHANNEL_2 { self.latched.pop().unwrap_or(0xff) } else { 0xff }
    }

    fn out8(&mut self, port: u16, value: u8) {
        self.written.push((port.into(), value.into()));
        if (port, value) == (PIT_CONTROL, PIT_LATCH) && self.pit {
            let [low, high, ..] = (0xffff - self.ticks(PIT_HZ) % 0x1_0000).to_le_bytes();
            self.latched = vec![high, low];
        }
    }

    fn in16(&mut self, _: u16) -> u16 {
        self.pm1
    }

    fn out16(&mut self, port: u16, value: u16) {
        self.written.push((port.into(), value.into()));
        self.pm1 = value;
    }

    fn in32(&mut self, port: u16) -> u32 {
        if Some(port) == self.pm_timer { self.ticks(PM_TIMER_HZ) & 0x00ff_ffff } else { u32::MAX }
    }

    fn read(&mut self, at: HostPhysical) -> u32 {
        match at.0.wrapping_sub(HPET.0) {
            _ if self.hpet_period == 0 => u32::MAX,
            HPET_PERIOD => self.hpet_period,
            HPET_COUNTER if self.hpet_on => self.ticks(FEMTOSECONDS / u64::from(self.hpet_period)),
            _ => 0xabcd_1234,
        }
    }

    fn write(&mut self, at: HostPhysical, value: u32) {
        self.written.push((at.0, value));
        self.hpet_on = value & 1 != 0;
    }

    fn read_pci(&mut self, _: u8, _: u8, _: u8) -> u32 {
        0x1122_3344
    }

    fn write_pci(&mut self, _: u8, _: u8, offset: u8, value: u32) {
        self.written.push((offset.into(), value));
    }

    fn tsc(&mut self) -> u64 {
        self.nanos += 10;
        (u128::from(self.nanos) * u128::from(TSC_HZ) / 1_000_000_000) as u64
    }

    fn wait(&mut self, micros: u64) {
        self.nanos += 1000 * micros;
    }
}

/// The timer that serves, and those that were tried in vain.
fn find(fake: &mut Fake, machine: &MachineInfo<'_>) -> (Option<&'static str>, Vec<&'static str>) {
    let mut failed = Vec::new();
    let found = tsc_frequency(machine, FrequencyLeaves::default(), fake, &mut |name, _| failed.push(name));
    if let Some(found) = found {
        assert!(found.hz.abs_diff(TSC_HZ) < TSC_HZ / 5000, "{found:?}");
    }
    (found.and_then(|found| found.measured).map(|(_, name)| name), failed)
}

fn machine(pm_timer: Option<Register>, hpet: bool) -> MachineInfo<'static> {
    let mut machine = MachineInfo::default();
    machine.fadt.pm_timer = pm_timer;
    machine.hpet = hpet.then_some(HPET);
    machine
}

#[test]
fn the_first_timer_that_counts_serves() {
    let all = || Fake { pm_timer: Some(0x608), hpet_period: 10_000_000, pit: true, ..Fake::default() };
    let listed = machine(Some(Register::Port(0x608)), true);
    assert_eq!(find(&mut all(), &listed), (Some("PM timer"), vec![]));
    // A PM timer that stands still.
    let mut fake = Fake { pm_timer: None, ..all() };
    assert_eq!(find(&mut fake, &listed), (Some("HPET"), vec!["PM timer"]));
    assert!(!fake.hpet_on, "HPET stays as it was");
    let mut fake = Fake { hpet_period: 0, ..all() };
    assert_eq!(find(&mut fake, &machine(None, true)), (Some("PIT"), vec![]));
    assert_eq!(find(&mut all(), &machine(None, false)), (Some("PIT"), vec![]));
    assert_eq!(find(&mut Fake::default(), &machine(None, false)), (None, vec!["PIT"]));
}

#[test]
fn a_pm_timer_may_be_in_memory() {
    // The counter of an HPET with the PM timer's rate.
    let at = HostPhysical(HPET.0 + HPET_COUNTER);
    let period = (FEMTOSECONDS / PM_TIMER_HZ) as u32;
    let mut fake = Fake { hpet_period: period, hpet_on: true, ..Fake::default() };
    assert_eq!(find(&mut fake, &machine(Some(Register::Memory(at)), false)), (Some("PM timer"), vec![]));
    let odd = Register::Memory(HostPhysical(at.0 + 2));
    assert_eq!(
        find(&mut Fake { pit: true, ..Fake::default() }, &machine(Some(odd), false)),
        (Some("PIT"), vec![])
    );
}

#[test]
fn an_impossible_period_is_no_hpet() {
    for hpet_period in [0, 1, 2000, HPET_SHORTEST - 1, HPET_LONGEST + 1, u32::MAX] {
        let mut fake = Fake { hpet_period, pit: true, ..Fake::default() };
        assert_eq!(find(&mut fake, &machine(None, true)).0, Some("PIT"));
        assert!(fake.nanos < 100_000_000, "{} ns for a period of {hpet_period} fs", fake.nanos);
    }
    let mut far = machine(None, false);
    far.hpet = Some(HostPhysical(u64::MAX - 7));
    assert_eq!(find(&mut Fake { pit: true, ..Fake::default() }, &far).0, Some("PIT"));
}

#[test]
fn without_any_timer_cpuid_decides() {
    let leaves = FrequencyLeaves { hypervisor_khz: 2_000_000, ..FrequencyLeaves::default() };
    let found = tsc_frequency(&machine(None, false), leaves, &mut Fake::default(), &mut |_, _| {});
    let found = found.map(|found| (found.hz, found.claimed.map(|claimed| claimed.source)));
    assert_eq!(found, Some((TSC_HZ, Some(FrequencySource::Hypervisor))));
}

#[test]
fn registers_of_power_are_written_where_they_are() {
    let mut fake = Fake { pm1: 0b0001_0100_0000_0001, ..Fake::default() };
    let mut fadt = machine(None, false).fadt;
    fadt.pm1_control = [Some(Register::Port(0x604)), None];
    let steps = power::off(&fadt, Some(SleepTypes { a: 0, b: 0 }));
    power::take(&steps, &mut fake);
    // SCI_EN stays; the sleep type before is gone.
    assert_eq!(fake.written, [(0x604, 1), (0x604, 1 | 1 << 13)]);
    fake.written.clear();
    fadt.reset = Some((Register::PciConfiguration { device: 31, function: 0, offset: 0x42 }, 0x0e));
    power::take(&power::reset(&fadt)[..2], &mut fake);
    fadt.reset = Some((Register::Memory(HostPhysical(0xfed0_1001)), 0x55));
    power::take(&power::reset(&fadt)[..1], &mut fake);
    assert_eq!(fake.written, [(0x40, 0x110e_3344), (0xfed0_1000, 0xffff_55ff)]);
    assert!(fake.nanos >= 50_000_000);
}
