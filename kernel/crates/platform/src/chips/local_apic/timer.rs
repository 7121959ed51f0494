//! The local APIC's timer: one-shot, periodic and TSC-deadline [SDM3A 11.5.4].

use base::Instant;

/// Frequency of the timer's clock in Hz, before division.
pub const APIC_TIMER_HZ: u32 = 25_000_000;

const SECOND: u64 = 1_000_000_000;
/// Nanoseconds of one period of the clock: exact.
const CLOCK_NANOS: u64 = SECOND / APIC_TIMER_HZ as u64;
const _: () = assert!(CLOCK_NANOS * APIC_TIMER_HZ as u64 == SECOND);

/// Bits 18:17 of the LVT timer register [SDM3A figure 11-8].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum TimerMode {
    #[default]
    OneShot,
    Periodic,
    TscDeadline,
}

impl TimerMode {
    /// None for the reserved encoding.
    pub(super) fn from_lvt(lvt: u32) -> Option<Self> {
        match lvt >> 17 & 3 {
            0 => Some(Self::OneShot),
            1 => Some(Self::Periodic),
            2 => Some(Self::TscDeadline),
            _ => None,
        }
    }
}

/// The timer, without its LVT register.
#[derive(Debug, Clone)]
pub(super) struct ApicTimer {
    tsc_hz: u64,
    mode: TimerMode,
    initial_count: u32,
    divide_configuration: u32,
    /// When the count next reaches zero; in TSC-deadline mode, the deadline. None: stopped.
    expires: Option<Instant>,
    /// IA32_TSC_DEADLINE.
    deadline: u64,
}

impl ApicTimer {
    /// A stopped timer; the guest's TSC runs at `tsc_hz` from 0 at [`Instant::ZERO`].
    pub(super) fn new(tsc_hz: u64) -> Self {
        let tsc_hz = tsc_hz.max(1);
        Self {
            tsc_hz,
            mode: TimerMode::OneShot,
            initial_count: 0,
            divide_configuration: 0,
            expires: None,
            deadline: 0,
        }
    }

    /// The state after reset; the frequency stays.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.tsc_hz);
    }

    /// Changes the mode. Changing to or from TSC-deadline disarms the timer [SDM3A 11.5.4.1]; between the
    /// other two the count continues.
    pub(super) fn set_mode(&mut self, mode: TimerMode) {
        if mode != self.mode && (mode == TimerMode::TscDeadline || self.mode == TimerMode::TscDeadline) {
            self.expires = None;
            self.deadline = 0;
            self.initial_count = 0;
        }
        self.mode = mode;
    }

    /// The initial-count register.
    pub(super) fn initial_count(&self) -> u32 {
        self.initial_count
    }

    /// Writes the initial-count register: starts the count, or stops it with 0. Ignored in TSC-deadline
    /// mode [SDM3A 11.5.4.1].
    pub(super) fn set_initial_count(&mut self, count: u32, now: Instant) {
        if self.mode != TimerMode::TscDeadline {
            self.initial_count = count;
            self.expires = (count != 0).then(|| Instant(now.0.saturating_add(self.period())));
        }
    }

    /// The current-count register.
    pub(super) fn current_count(&self, now: Instant) -> u32 {
        let Some(expires) = self.expires.filter(|_| self.mode != TimerMode::TscDeadline) else { return 0 };
        let left = match (expires.0.checked_sub(now.0), self.mode) {
            (Some(left), _) if left > 0 => left,
            (_, TimerMode::Periodic) => self.period() - (now.0 - expires.0) % self.period(),
            _ => 0,
        };
        // At most the initial count, except when the clock went backwards.
        u32::try_from(left.div_ceil(self.count_nanos())).unwrap_or(u32::MAX)
    }

    /// The divide-configuration register.
    pub(super) fn divide_configuration(&self) -> u32 {
        self.divide_configuration
    }

    /// Writes the divide-configuration register; the count continues at the new rate.
    pub(super) fn set_divide_configuration(&mut self, value: u32, now: Instant) {
        let left = self.current_count(now);
        self.divide_configuration = value & 0b1011;
        if self.expires.is_some() && self.mode != TimerMode::TscDeadline {
            let nanos = u64::from(left) * self.count_nanos();
            self.expires = (left != 0).then(|| Instant(now.0.saturating_add(nanos)));
        }
    }

    /// IA32_TSC_DEADLINE: 0 once the deadline has passed or in other modes [SDM3A 11.5.4.1].
    pub(super) fn deadline(&self, now: Instant) -> u64 {
        if self.expires.is_some_and(|expires| expires > now) { self.deadline } else { 0 }
    }

    /// Writes IA32_TSC_DEADLINE: arms, or disarms with 0. Ignored in other modes.
    pub(super) fn set_deadline(&mut self, deadline: u64) {
        if self.mode == TimerMode::TscDeadline {
            self.deadline = deadline;
            let nanos = (u128::from(deadline) * u128::from(SECOND)).div_ceil(self.tsc_hz.into());
            self.expires = (deadline != 0).then(|| Instant(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
    }

    /// When the timer expires next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.expires
    }

    /// Advances to `now`; true when the timer expired, once or several times. A periodic timer keeps its
    /// phase.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let Some(expires) = self.expires.filter(|expires| *expires <= now) else { return false };
        self.expires = match self.mode {
            TimerMode::Periodic if self.initial_count != 0 => {
                let late = (now.0 - expires.0) % self.period();
                Some(Instant(now.0.saturating_add(self.period() - late)))
            }
            _ => None,
        };
        self.deadline = 0;
        true
    }

    /// Nanoseconds from the initial count to zero; at least one count.
    fn period(&self) -> u64 {
        u64::from(self.initial_count.max(1)) * self.count_nanos()
    }

    /// Nanoseconds per count: the clock divided by 2, 4, .. 128, 1 as bits 3, 1 and 0 select [SDM3A figure
    /// 11-10].
    fn count_nanos(&self) -> u64 {
        let code = self.divide_configuration & 0b11 | self.divide_configuration >> 1 & 0b100;
        CLOCK_NANOS << ((code + 1) & 7)
    }
}
