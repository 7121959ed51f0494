use super::*;
use alloc::string::ToString;
use alloc::vec::Vec;
use proptest::prelude::*;

const PM: ReferenceTimer = ReferenceTimer { hz: 3_579_545, mask: 0x00ff_ffff };
const HZ: u64 = 2_400_000_000;

/// A machine whose time is nanoseconds; each reading takes some.
struct Script {
    nanos: u64,
    hz: u64,
    timer: ReferenceTimer,
    timer_nanos: u64,
    /// Number of readings of the timer, and gaps: after this one, so many nanoseconds are missing.
    reading: u64,
    gaps: Vec<(u64, u64)>,
    /// The timer stands still after this many readings.
    stops: u64,
}

impl Script {
    fn new(timer: ReferenceTimer) -> Self {
        let timer_nanos = 1000;
        Self { nanos: 5, hz: HZ, timer, timer_nanos, reading: 0, gaps: Vec::new(), stops: u64::MAX }
    }
}

impl Counters for Script {
    fn timer(&mut self) -> u64 {
        self.reading += 1;
        self.nanos += self.timer_nanos / 2;
        let value = ratio(self.nanos, self.timer.hz, 1_000_000_000) & self.timer.mask;
        self.nanos += self.timer_nanos / 2;
        self.nanos += self.gaps.iter().find(|gap| gap.0 == self.reading).map_or(0, |gap| gap.1);
        if self.reading > self.stops { 77 } else { value }
    }

    fn tsc(&mut self) -> u64 {
        self.nanos += 10;
        ratio(self.nanos, self.hz, 1_000_000_000)
    }
}

/// The true frequency, within 100 ppm: NTP corrects 500.
fn is_right(measured: Measured) -> bool {
    difference(measured.hz, HZ) <= 100
}

#[test]
fn an_undisturbed_machine_takes_two_windows() {
    let mut script = Script::new(PM);
    let measured = measure(PM, &mut script).expect("the timer counts");
    assert!(is_right(measured) && measured.is_agreed(), "{measured:?}");
    assert!((10_000_000..11_000_000).contains(&script.nanos), "{} ns", script.nanos);
}

#[test]
fn a_gap_between_timer_and_counter_changes_nothing() {
    // 0.2 ms, as by an SMI, after each reading of the first moment but one, and within the second and third.
    let mut script = Script::new(PM);
    script.gaps = [1, 2, 3, 5, 6].map(|reading| (reading, 200_000)).to_vec();
    script.gaps.extend((4950..4990).map(|reading| (reading, 200_000)));
    let measured = measure(PM, &mut script).expect("the timer counts");
    assert!(is_right(measured), "{measured:?}");
}

#[test]
fn a_window_that_is_wrong_is_outvoted() {
    // The whole first moment is disturbed: its window comes out 4 % wrong.
    let mut script = Script::new(PM);
    script.gaps = (1..=6).map(|reading| (reading, 400_000)).collect();
    let measured = measure(PM, &mut script).expect("the timer counts");
    assert!(is_right(measured) && measured.is_agreed(), "{measured:?}");
}

#[test]
fn a_machine_that_is_disturbed_all_the_time_ends_within_its_bound_and_says_so() {
    let mut script = Script::new(PM);
    script.gaps = (1..100_000).map(|reading| (reading, 100_000 + reading * 7919 % 900_000)).collect();
    let measured = measure(PM, &mut script).expect("the timer counts");
    assert!(script.nanos < 100_000_000, "{} ns", script.nanos);
    if !measured.is_agreed() {
        let chosen = Chosen::choose(Some((measured, "PM timer")), None).expect("it was measured");
        assert!(chosen.is_doubtful());
    }
}

#[test]
fn a_timer_that_stands_still_is_found_out_at_any_moment() {
    for stops in [0, 3, 7, 2000, 6000] {
        let mut script = Script::new(PM);
        script.stops = stops;
        assert_eq!(measure(PM, &mut script), Err(CalibrationError::Stuck));
    }
}

#[test]
fn a_timer_that_wraps_within_a_window_serves() {
    for mask in [0xffff, 0x00ff_ffff, u64::from(u32::MAX)] {
        let timer = ReferenceTimer { hz: 1_193_182, mask };
        let mut script = Script::new(timer);
        script.nanos = 54_000_000;
        assert!(is_right(measure(timer, &mut script).expect("the timer counts")));
    }
}

#[test]
fn slow_readings_as_under_a_hypervisor_serve() {
    let mut script = Script::new(PM);
    script.timer_nanos = 20_000;
    assert!(is_right(measure(PM, &mut script).expect("the timer counts")));
}

#[test]
fn a_counter_that_stands_still_is_no_clock() {
    let mut script = Script::new(PM);
    script.hz = 0;
    assert_eq!(measure(PM, &mut script), Err(CalibrationError::Implausible(0)));
}

#[test]
fn the_hypervisor_is_believed_before_the_crystal_and_this_before_the_base_frequency() {
    let all = FrequencyLeaves { crystal: [2, 200, 24_000_000], base_mhz: 2300, hypervisor_khz: 2_500_000 };
    let claim = |leaves: FrequencyLeaves| leaves.claim().map(|claim| (claim.source, claim.hz));
    assert_eq!(claim(all), Some((FrequencySource::Hypervisor, 2_500_000_000)));
    let bare = FrequencyLeaves { hypervisor_khz: 0, ..all };
    assert_eq!(claim(bare), Some((FrequencySource::Crystal, 2_400_000_000)));
    for crystal in [[0, 200, 24_000_000], [2, 0, 24_000_000], [2, 200, 0], [0; 3]] {
        let unknown = FrequencyLeaves { crystal, ..bare };
        assert_eq!(claim(unknown), Some((FrequencySource::BaseFrequency, 2_300_000_000)));
    }
    assert_eq!(FrequencyLeaves::default().claim(), None);
}

#[test]
fn leaves_that_do_not_exist_are_not_read() {
    let processor = |last: u32, features: u32, hypervisor: u32| {
        FrequencyLeaves::read(move |leaf| match leaf {
            0 => [last, 0, 0],
            1 => [0, 0, features],
            0x15 => [2, 200, 24_000_000],
            0x16 => [0xabcd_0960, 0, 0],
            0x4000_0000 => [hypervisor, 0, 0],
            _ => [2_500_000, 0, 0],
        })
    };
    let all = FrequencyLeaves { crystal: [2, 200, 24_000_000], base_mhz: 2400, hypervisor_khz: 2_500_000 };
    assert_eq!(processor(0x16, 1 << 31, 0x4000_0010), all);
    assert_eq!(processor(0x16, 0, 0x4000_0010), FrequencyLeaves { hypervisor_khz: 0, ..all });
    assert_eq!(
        processor(0x15, 1 << 31, 0x4000_0001),
        FrequencyLeaves { base_mhz: 0, hypervisor_khz: 0, ..all }
    );
    assert_eq!(processor(0x14, 0, 0), FrequencyLeaves::default());
}

#[test]
fn a_claim_counts_where_it_is_confirmed_or_alone() {
    let measured = |hz| Some((Measured { hz, spread: 20 }, "PM timer"));
    let crystal = Some(Claimed { source: FrequencySource::Crystal, hz: 2_400_000_000 });
    let hz = |measured, claimed| Chosen::choose(measured, claimed).map(|chosen| chosen.hz);
    assert_eq!(hz(measured(2_400_100_000), crystal), Some(2_400_000_000));
    // An emulator that counts instructions.
    assert_eq!(hz(measured(50_000_000), crystal), Some(50_000_000));
    assert_eq!(hz(None, crystal), Some(2_400_000_000));
    assert_eq!(hz(None, None), None);
    // Rounded to MHz: the measurement is better.
    let base = Some(Claimed { source: FrequencySource::BaseFrequency, hz: 2_400_000_000 });
    assert_eq!(hz(measured(2_400_100_000), base), Some(2_400_100_000));
}

#[test]
fn the_log_says_by_how_much_the_sources_differ() {
    let measured = Some((Measured { hz: 2_400_240_000, spread: 12 }, "PM timer"));
    let crystal = Some(Claimed { source: FrequencySource::Crystal, hz: 2_400_000_000 });
    let text = |measured, claimed| Chosen::choose(measured, claimed).map(|chosen| chosen.to_string());
    let confirmed =
        "measured with the PM timer, two windows within 12 ppm; CPUID leaf 15h confirmed, 99 ppm off";
    assert_eq!(text(measured, crystal).as_deref(), Some(confirmed));
    let alone = "as CPUID leaf 15h says, not measured";
    assert_eq!(text(None, crystal).as_deref(), Some(alone));
    let other = Some((Measured { hz: 50_000_000, spread: 0 }, "HPET"));
    let differs = "measured with the HPET, two windows within 0 ppm; CPUID leaf 15h says 2400 MHz";
    assert_eq!(text(other, crystal).as_deref(), Some(differs));
}

proptest! {
    #[test]
    fn any_readings_end(values in proptest::collection::vec(any::<(u64, u64)>(), 1..40), hz in 1u64..1 << 40) {
        struct Any { values: Vec<(u64, u64)>, next: usize }
        impl Counters for Any {
            fn timer(&mut self) -> u64 {
                self.next += 1;
                self.values[self.next % self.values.len()].0
            }
            fn tsc(&mut self) -> u64 {
                self.values[self.next % self.values.len()].1
            }
        }
        let timer = ReferenceTimer { hz, mask: 0xffff };
        let mut counters = Any { values, next: 0 };
        // Readings that neither stand still nor come to a window would take long: those ends are tested above.
        if hz / WINDOWS_PER_SECOND < 0x1000 {
            let _ = measure(timer, &mut counters);
        }
    }
}
