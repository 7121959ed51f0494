//! The frequency of the time-stamp counter.
//!
//! It is measured against a timer of known frequency, over windows of 5 ms. One reading can go wrong: an SMI, or a
//! hypervisor that runs something else, may come between the timer and the counter. So each moment is read several
//! times, each reading of the timer lies between two of the counter, and the closest pair counts; and windows are
//! measured until two agree. All of it takes 10 ms where nothing disturbs it.
//!
//! What the processor or a hypervisor says is exact where it is true, but not always true: emulators report the
//! frequency of the model that they emulate. So it is used where the measurement confirms it, or where nothing can be
//! measured.

use core::fmt;

/// A timer that counts up at a known frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceTimer {
    /// Ticks per second.
    pub hz: u64,
    /// The bits that it has.
    pub mask: u64,
}

/// Reads the timer and the time-stamp counter.
pub trait Counters {
    /// The reference timer.
    fn timer(&mut self) -> u64;
    /// The time-stamp counter.
    fn tsc(&mut self) -> u64;
}

/// Windows per second: 5 ms each.
const WINDOWS_PER_SECOND: u64 = 200;
/// Two of them give a result; a machine that is disturbed gets a few more.
const MOST_WINDOWS: usize = 6;
/// Readings of each moment.
const READINGS: usize = 6;
/// Readings without a change after which the timer is taken to be stuck. The slowest timer ticks every microsecond, and
/// no reading takes less than 10 ns.
const STUCK: u32 = 100_000;
/// Readings after which a window is given up, although the timer changes.
const MOST_READINGS: u32 = 20_000_000;
/// Two windows agree when their frequencies differ by no more than this, in parts per million.
const AGREEMENT: u64 = 300;
/// What the processor says is confirmed by a measurement that differs by no more than this, in parts per million.
const CONFIRMED: u64 = 1000;
/// No time-stamp counter is slower or faster.
const PLAUSIBLE: core::ops::RangeInclusive<u64> = 1_000_000..=100_000_000_000;

/// Why a timer gives no frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// The timer does not count.
    #[error("it does not count")]
    Stuck,
    /// The counter moves as no time-stamp counter does.
    #[error("the time-stamp counter would run at {0} Hz")]
    Implausible(u64),
}

/// A measured frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Ticks of the time-stamp counter per second.
    pub hz: u64,
    /// By how much the two windows that agree best differ, in parts per million.
    pub spread: u64,
}

impl Measured {
    /// Whether two windows agreed.
    #[must_use]
    pub fn is_agreed(self) -> bool {
        self.spread <= AGREEMENT
    }
}

/// One moment: the timer, and the counter at the same time.
#[derive(Clone, Copy, Debug)]
struct Moment {
    timer: u64,
    tsc: u64,
}

/// Measures the time-stamp counter.
///
/// # Errors
/// [`CalibrationError`].
pub fn measure(timer: ReferenceTimer, counters: &mut dyn Counters) -> Result<Measured, CalibrationError> {
    let mut known: heapless::Vec<u64, MOST_WINDOWS> = heapless::Vec::new();
    let mut best = Measured { hz: 0, spread: u64::MAX };
    let mut start = moment(counters);
    while !best.is_agreed() {
        let end = window(timer, counters, start)?;
        let elapsed = end.timer.wrapping_sub(start.timer) & timer.mask;
        let ticks = end.tsc.wrapping_sub(start.tsc);
        let hz = ratio(ticks, timer.hz, elapsed);
        for other in &known {
            let spread = difference(hz, *other);
            if spread < best.spread {
                best = Measured { hz: hz.midpoint(*other), spread };
            }
        }
        if known.push(hz).is_err() || known.is_full() {
            break;
        }
        start = end;
    }
    if PLAUSIBLE.contains(&best.hz) { Ok(best) } else { Err(CalibrationError::Implausible(best.hz)) }
}

/// Waits until a window has passed since `start`, and reads both.
fn window(
    timer: ReferenceTimer,
    counters: &mut dyn Counters,
    start: Moment,
) -> Result<Moment, CalibrationError> {
    let span = timer.hz / WINDOWS_PER_SECOND;
    let (mut last, mut same) = (start.timer, 0);
    for _ in 0..MOST_READINGS {
        let now = counters.timer();
        if now.wrapping_sub(start.timer) & timer.mask >= span {
            return Ok(moment(counters));
        }
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same == STUCK {
            break;
        }
    }
    Err(CalibrationError::Stuck)
}

/// The closest of several readings. The counter's value is taken from the middle.
fn moment(counters: &mut dyn Counters) -> Moment {
    let (mut closest, mut best) = (u64::MAX, Moment { timer: 0, tsc: 0 });
    for _ in 0..READINGS {
        let before = counters.tsc();
        let timer = counters.timer();
        let gap = counters.tsc().wrapping_sub(before);
        if gap < closest {
            (closest, best) = (gap, Moment { timer, tsc: before.wrapping_add(gap / 2) });
        }
    }
    best
}

/// Who says how fast the time-stamp counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrequencySource {
    /// CPUID leaf 15h with the crystal's frequency [SDM2A CPUID].
    Crystal,
    /// CPUID leaf 16h: the base frequency, rounded to MHz [SDM2A CPUID].
    BaseFrequency,
    /// CPUID leaf 40000010h of KVM, VMware and others.
    Hypervisor,
}

impl fmt::Display for FrequencySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crystal => "CPUID leaf 15h",
            Self::BaseFrequency => "CPUID leaf 16h",
            Self::Hypervisor => "the hypervisor (CPUID leaf 40000010h)",
        })
    }
}

/// What the processor says of its time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Who says it.
    pub source: FrequencySource,
    /// Ticks per second.
    pub hz: u64,
}

/// The registers of the CPUID leaves that tell of the frequency: EAX, EBX, ECX; zeros where a leaf does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrequencyLeaves {
    /// Leaf 15h: denominator, numerator, frequency of the crystal in Hz.
    pub crystal: [u32; 3],
    /// EAX of leaf 16h: the base frequency in MHz.
    pub base_mhz: u32,
    /// EAX of leaf 40000010h: the counter's frequency in kHz.
    pub hypervisor_khz: u32,
}

impl FrequencyLeaves {
    /// Reads them; `cpuid` returns EAX, EBX and ECX of a leaf [SDM2A CPUID].
    #[must_use]
    pub fn read(cpuid: impl Fn(u32) -> [u32; 3]) -> Self {
        let ([last, ..], [_, _, features]) = (cpuid(0), cpuid(1));
        let leaf = |number: u32| if last >= number { cpuid(number) } else { [0; 3] };
        let has_hypervisor = features & 1 << 31 != 0 && cpuid(0x4000_0000)[0] >= 0x4000_0010;
        Self {
            crystal: leaf(0x15),
            base_mhz: leaf(0x16)[0] & 0xffff,
            hypervisor_khz: if has_hypervisor { cpuid(0x4000_0010)[0] } else { 0 },
        }
    }

    /// The most precise of what the leaves say.
    #[must_use]
    pub fn claim(self) -> Option<Claimed> {
        let [denominator, numerator, crystal] = self.crystal.map(u64::from);
        let claims = [
            (FrequencySource::Hypervisor, u64::from(self.hypervisor_khz) * 1000),
            (FrequencySource::Crystal, ratio(numerator, crystal, denominator)),
            (FrequencySource::BaseFrequency, u64::from(self.base_mhz) * 1_000_000),
        ];
        claims.into_iter().find(|(_, hz)| PLAUSIBLE.contains(hz)).map(|(source, hz)| Claimed { source, hz })
    }
}

/// A frequency with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Ticks per second.
    pub hz: u64,
    /// What was measured, by a timer with this name.
    pub measured: Option<(Measured, &'static str)>,
    /// What the processor says.
    pub claimed: Option<Claimed>,
}

impl Chosen {
    /// Chooses between measurement and claim; `None` when there is neither.
    #[must_use]
    pub fn choose(measured: Option<(Measured, &'static str)>, claimed: Option<Claimed>) -> Option<Self> {
        let hz = match (measured, claimed) {
            (None, None) => return None,
            (None, Some(claimed)) => claimed.hz,
            (Some((measured, _)), Some(claimed))
                if claimed.source != FrequencySource::BaseFrequency
                    && difference(measured.hz, claimed.hz) <= CONFIRMED =>
            {
                claimed.hz
            }
            (Some((measured, _)), _) => measured.hz,
        };
        Some(Self { hz, measured, claimed })
    }

    /// True when there was no agreement, so that the clock may be wrong.
    #[must_use]
    pub fn is_doubtful(self) -> bool {
        self.measured.is_some_and(|(measured, _)| !measured.is_agreed())
            && Some(self.hz) != self.claimed.map(|c| c.hz)
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.measured, self.claimed) {
            (Some((measured, timer)), claimed) => {
                write!(f, "measured with the {timer}, two windows within {} ppm", measured.spread)?;
                match claimed {
                    Some(claimed) if claimed.hz == self.hz => {
                        write!(
                            f,
                            "; {} confirmed, {} ppm off",
                            claimed.source,
                            difference(measured.hz, claimed.hz)
                        )
                    }
                    Some(claimed) => {
                        let megahertz = claimed.hz / 1_000_000;
                        write!(f, "; {} says {megahertz} MHz", claimed.source)
                    }
                    None => Ok(()),
                }
            }
            (None, Some(claimed)) => write!(f, "as {} says, not measured", claimed.source),
            (None, None) => Ok(()),
        }
    }
}

/// `a` times `b` divided by `c`; 0 when `c` is 0, and saturating.
fn ratio(a: u64, b: u64, c: u64) -> u64 {
    (u128::from(a) * u128::from(b))
        .checked_div(c.into())
        .map_or(0, |value| value.try_into().unwrap_or(u64::MAX))
}

/// The difference of two frequencies in parts per million of the larger.
fn difference(a: u64, b: u64) -> u64 {
    ratio(a.abs_diff(b), 1_000_000, a.max(b))
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
