//! A simulated core with guests that spin, sleep and wake: shares are kept, and no guest starves.

use base::{Duration, Instant};
use proptest::prelude::*;
use schedule::{CREDIT, GuestTurn, RunQueue, SLICE, UNDISTURBED};

/// What a simulated guest does.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Never sleeps.
    Spins,
    /// Wakes at a fixed interval and works for a while each time.
    Wakes { every: Duration, work: Duration },
    /// Works for a while, sets a timer and halts, again and again.
    Naps { sleep: Duration, work: Duration },
    /// Has halted, and its vNICs always have work, which is done in pieces that nothing interrupts.
    Works { piece: Duration },
}

impl Habit {
    /// It halts when its work is done, and is woken by a timer.
    fn wakes(self) -> bool {
        matches!(self, Self::Wakes { .. } | Self::Naps { .. })
    }
}

struct Guest {
    habit: Habit,
    /// Remaining work since the last wake-up.
    left: Duration,
    wakes_at: Duration,
    ran: Duration,
    /// Longest time from waking to running.
    latency: Duration,
    /// When it ran last, and the longest time that it did not.
    last_ran: Duration,
    pause: Duration,
    woken_at: Option<Duration>,
}

/// A core as `kernel/src/scheduler.rs` drives it, with exits every `STEP`, and when a guest wakes that may run then.
struct Core {
    queue: RunQueue,
    guests: Vec<Guest>,
    now: Duration,
    turn: GuestTurn,
    /// What it costs that another guest comes. It is charged to that one.
    change: Duration,
    /// Who ran last.
    last: Option<usize>,
}

const STEP: Duration = Duration::from_micros(50);
/// The shortest time between two exits for timers.
const SHORTEST_RUN: Duration = Duration::from_micros(20);

fn instant(at: Duration) -> Instant {
    Instant::ZERO + at
}

impl Core {
    fn new(guests: &[(u32, Habit)]) -> Self {
        let mut queue = RunQueue::new();
        let guests = guests.iter().map(|&(shares, habit)| {
            let number = queue.add(shares).unwrap();
            queue.set_runnable(number, !habit.wakes());
            Guest {
                habit,
                left: Duration::ZERO,
                wakes_at: Duration::ZERO,
                ran: Duration::ZERO,
                latency: Duration::ZERO,
                last_ran: Duration::ZERO,
                pause: Duration::ZERO,
                woken_at: None,
            }
        });
        let guests = guests.collect();
        let (now, turn, change) = (Duration::ZERO, GuestTurn::default(), Duration::ZERO);
        Self { queue, guests, now, turn, change, last: None }
    }

    fn wake(&mut self) {
        for (number, guest) in self.guests.iter_mut().enumerate() {
            let (next, work) = match guest.habit {
                Habit::Wakes { every, work } => (guest.wakes_at + every, work),
                // Set when it halts.
                Habit::Naps { work, .. } => (Duration::MAX, work),
                Habit::Spins | Habit::Works { .. } => continue,
            };
            if self.now >= guest.wakes_at {
                guest.wakes_at = next;
                if guest.left.is_zero() {
                    guest.woken_at = Some(self.now);
                }
                guest.left += work;
                self.queue.set_runnable(number, true);
            }
        }
    }

    /// How long a guest that spins runs until it exits.
    fn longest_run(&self) -> Duration {
        let sleeps = |guest: &&Guest| guest.habit.wakes() && guest.left.is_zero();
        let wakes = self.guests.iter().filter(sleeps).map(|guest| self.turn.wake(instant(guest.wakes_at)));
        let now = instant(self.now);
        let due = wakes.fold(self.turn.exit_by(now), Ord::min);
        due.saturating_since(now).clamp(SHORTEST_RUN, STEP)
    }

    fn run(&mut self, until: Duration) {
        while self.now < until {
            self.wake();
            let Some(number) = self.queue.next() else {
                self.now += STEP;
                continue;
            };
            self.turn = self.turn.next(instant(self.now));
            if self.last.replace(number) != Some(number) {
                self.now += self.change;
                self.queue.charge(number, self.change);
            }
            loop {
                let run = self.longest_run();
                let guest = &mut self.guests[number];
                if let Some(woken_at) = guest.woken_at.take() {
                    guest.latency = guest.latency.max(self.now - woken_at);
                }
                guest.pause = guest.pause.max(self.now - guest.last_ran);
                let step = match guest.habit {
                    Habit::Spins => run,
                    Habit::Works { piece } => piece,
                    Habit::Wakes { .. } | Habit::Naps { .. } => STEP.min(guest.left),
                };
                guest.ran += step;
                guest.left = guest.left.saturating_sub(step);
                let sleeps = guest.habit.wakes() && guest.left.is_zero();
                self.now += step;
                if let Habit::Naps { sleep, .. } = guest.habit
                    && sleeps
                {
                    guest.wakes_at = self.now + sleep;
                }
                guest.last_ran = self.now;
                self.queue.charge(number, step);
                self.queue.set_runnable(number, !sleeps);
                self.wake();
                let now = instant(self.now);
                let over = self.queue.lead(number).is_some_and(|lead| now >= self.turn.limit(now, lead));
                if sleeps || over || self.now >= until {
                    break;
                }
            }
            self.turn = self.turn.ended(instant(self.now));
        }
    }
}

/// The part of all time used that guest `number` has used.
fn part(core: &Core, number: usize) -> f64 {
    let all: Duration = core.guests.iter().map(|guest| guest.ran).sum();
    core.guests[number].ran.as_secs_f64() / all.as_secs_f64()
}

#[test]
fn spinning_guests_get_their_shares_within_five_percent() {
    let shares = [1000, 3000, 500, 10];
    let mut core = Core::new(&shares.map(|shares| (shares, Habit::Spins)));
    core.run(Duration::from_secs(20));
    for (number, shares) in shares.iter().enumerate() {
        let due = f64::from(*shares) / 4510.0;
        let got = part(&core, number);
        assert!((got / due - 1.0).abs() < 0.05, "guest {number}: {got} of {due}");
    }
}

#[test]
fn a_guest_that_wakes_runs_at_once_beside_guests_that_spin() {
    let wakes = Habit::Wakes { every: Duration::from_millis(1), work: Duration::from_micros(60) };
    let mut core = Core::new(&[(1000, Habit::Spins), (1000, wakes), (1000, Habit::Spins)]);
    // At the very start, no guest is behind another.
    core.guests[1].wakes_at = Duration::from_millis(20);
    core.run(Duration::from_secs(5));
    assert!(core.guests[1].latency <= STEP, "{:?}", core.guests[1].latency);
    let got = part(&core, 1);
    assert!((got - 0.06).abs() < 0.001, "{got}");
}

#[test]
fn a_guest_that_always_wakes_again_gets_no_more_than_its_share() {
    // It sleeps just long enough to preempt the other again, and demands nine tenths of the core.
    let wakes = Habit::Wakes { every: Duration::from_micros(1000), work: Duration::from_micros(900) };
    let mut core = Core::new(&[(1000, wakes), (1000, Habit::Spins)]);
    core.run(Duration::from_secs(20));
    assert!((part(&core, 1) - 0.5).abs() < 0.025, "{}", part(&core, 1));
}

/// The part of the core that is of use to a guest that spins, and the longest time that one of these waits that sleep for
/// 20 us at a time and work for so many. It costs 15 us that another guest comes.
fn beside_naps(sleepers: usize, works: u64) -> (f64, Duration) {
    let naps = Habit::Naps { sleep: Duration::from_micros(20), work: Duration::from_micros(works) };
    let mut core = Core::new(&[vec![(1000, Habit::Spins)], vec![(1000, naps); sleepers]].concat());
    core.change = CHANGE;
    core.run(Duration::from_secs(5));
    (core.guests[0].ran.as_secs_f64() / 5.0, core.guests[1].latency)
}

const CHANGE: Duration = Duration::from_micros(15);

#[test]
fn a_guest_that_wakes_as_often_as_it_can_costs_another_one_little_of_its_time() {
    let (useful, latency) = beside_naps(1, 1);
    assert!(useful >= 0.8, "{useful} of the core");
    assert!(latency <= UNDISTURBED + SHORTEST_RUN + CHANGE, "{latency:?}");
}

#[test]
fn guests_that_wake_as_often_as_they_can_leave_another_one_its_share() {
    for (sleepers, works) in
        [(1, 10), (1, 30), (1, 100), (1, 240), (1, 500), (2, 1), (2, 100), (14, 1), (14, 30)]
    {
        let (useful, _) = beside_naps(sleepers, works);
        let due = 0.9 / (sleepers + 1) as f64;
        assert!(useful >= due, "{useful} of the core beside {sleepers} that work for {works} us");
    }
}

#[test]
fn beside_a_guest_with_endless_network_work_no_pause_is_longer_than_two_slices() {
    for piece in [50, 300, 1000, 1900].map(Duration::from_micros) {
        let mut core = Core::new(&[(1000, Habit::Works { piece }), (1000, Habit::Spins)]);
        core.run(Duration::from_secs(5));
        assert!(core.guests[1].pause <= 2 * SLICE, "{piece:?}: {:?}", core.guests[1].pause);
        assert!((part(&core, 1) - 0.5).abs() < 0.025, "{piece:?}: {}", part(&core, 1));
    }
}

#[test]
fn a_long_sleep_buys_no_more_than_the_credit() {
    let wakes = Habit::Wakes { every: Duration::from_secs(10), work: Duration::from_secs(5) };
    let mut core = Core::new(&[(1000, wakes), (1000, Habit::Spins)]);
    core.guests[0].wakes_at = Duration::from_secs(10);
    core.run(Duration::from_secs(10));
    let before = core.guests[1].ran;
    core.run(Duration::from_millis(10_100));
    let lost = Duration::from_millis(100) - (core.guests[1].ran - before);
    assert!(lost <= Duration::from_millis(50) + CREDIT + SLICE, "{lost:?}");
}

#[test]
fn a_guest_that_is_alone_has_no_limit_and_one_that_is_ahead_has_none_left() {
    let mut queue = RunQueue::new();
    let [one, other] = [1000, 1000].map(|shares| queue.add(shares).unwrap());
    queue.set_runnable(one, true);
    assert_eq!((queue.lead(one), queue.lead(7)), (None, Some(Duration::ZERO)));
    queue.set_runnable(other, true);
    assert!(queue.lead(one) > Some(Duration::ZERO));
    queue.charge(one, Duration::from_secs(1));
    assert_eq!(queue.lead(one), Some(Duration::ZERO));
    queue.set_runnable(other, false);
    assert_eq!(queue.lead(one), None);
}

#[test]
fn changed_shares_take_effect_from_then_on() {
    let mut core = Core::new(&[(1000, Habit::Spins), (1000, Habit::Spins)]);
    core.run(Duration::from_secs(5));
    core.queue.set_shares(0, 4000);
    let before = core.guests[0].ran;
    core.run(Duration::from_secs(15));
    let got = (core.guests[0].ran - before).as_secs_f64() / 10.0;
    assert!((got / 0.8 - 1.0).abs() < 0.05, "{got}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// What a guest may run is said beforehand to the nanosecond.
    #[test]
    fn a_lead_is_used_up_exactly_when_it_has_been_run(
        shares in proptest::array::uniform3(1u32..=100_000),
        used in proptest::array::uniform3(0u64..10_000_000),
    ) {
        let mut queue = RunQueue::new();
        for (number, (shares, used)) in shares.into_iter().zip(used).enumerate() {
            queue.add(shares).unwrap();
            queue.set_runnable(number, true);
            queue.charge(number, Duration::from_nanos(used));
        }
        let lead = queue.lead(0).unwrap();
        if let Some(less) = lead.checked_sub(Duration::from_nanos(1)) {
            let mut queue = queue.clone();
            queue.charge(0, less);
            prop_assert!(queue.lead(0) > Some(Duration::ZERO));
        }
        queue.charge(0, lead);
        prop_assert_eq!(queue.lead(0), Some(Duration::ZERO));
    }

    /// Whatever the others do, a guest that spins gets at least its share of the core.
    #[test]
    fn no_guest_takes_the_share_of_a_spinning_one(
        shares in 10u32..=10_000,
        others in proptest::collection::vec((10u32..=10_000, 100u64..20_000, 1u64..10_000, any::<bool>()), 0..5),
    ) {
        let others = others.into_iter().map(|(shares, every, work, spins)| {
            let wakes = Habit::Wakes {
                every: Duration::from_micros(every),
                work: Duration::from_micros(work),
            };
            (shares, if spins { Habit::Spins } else { wakes })
        });
        let guests: Vec<(u32, Habit)> = [(shares, Habit::Spins)].into_iter().chain(others).collect();
        let sum: u32 = guests.iter().map(|(shares, _)| shares).sum();
        let mut core = Core::new(&guests);
        let length = Duration::from_secs(4);
        core.run(length);
        let due = f64::from(shares) / f64::from(sum) * length.as_secs_f64();
        let got = core.guests[0].ran.as_secs_f64();
        // Where a guest is due only a few slices, one slice more or less matters.
        prop_assert!(got > due * 0.95 - 4.0 * SLICE.as_secs_f64(), "{got} of {due}");
    }
}
