use super::*;

const INITIAL_COUNT: u16 = 0x380;
const CURRENT_COUNT: u16 = 0x390;
const DIVIDE: u16 = 0x3e0;

#[test]
fn a_one_shot_timer_fires_once_at_its_count() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    let _ = apic.write(DIVIDE, 0b0011, NOW);
    assert!(apic.write(INITIAL_COUNT, 1000, NOW).effects.contains(Effects::TIMER_CHANGED));
    // Divided by 16: 640 ns per count.
    let due = after(Duration::from_nanos(640_000));
    assert_eq!(apic.next_deadline(), Some(due));
    assert_eq!(apic.read(CURRENT_COUNT, after(Duration::from_nanos(6400))), 990);
    assert_eq!(apic.advance(Instant(due.0 - 1)), Effects::empty());
    assert_eq!(apic.advance(due), Effects::TIMER_CHANGED | Effects::IRQ_CHANGED);
    assert_eq!((apic.pending(), apic.next_deadline(), apic.read(CURRENT_COUNT, due)), (Some(0x20), None, 0));
}

#[test]
fn every_divide_configuration_has_its_divisor() {
    for (value, divisor) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)] {
        let mut apic = apic();
        let _ = apic.write(LVT_TIMER, 0x20, NOW);
        let _ = apic.write(DIVIDE, value, NOW);
        let _ = apic.write(INITIAL_COUNT, 100, NOW);
        assert_eq!(apic.next_deadline(), Some(after(Duration::from_nanos(100 * 40 * divisor))));
    }
}

#[test]
fn changing_the_divisor_keeps_the_count() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    let _ = apic.write(DIVIDE, 0b1011, NOW);
    let _ = apic.write(INITIAL_COUNT, 1000, NOW);
    let half = after(Duration::from_nanos(500 * 40));
    let _ = apic.write(DIVIDE, 0, half);
    assert_eq!(apic.read(CURRENT_COUNT, half), 500);
    assert_eq!(apic.next_deadline(), Some(half + Duration::from_nanos(500 * 80)));
}

#[test]
fn a_periodic_timer_delivers_once_when_late_and_keeps_its_phase() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x2_0020, NOW);
    let _ = apic.write(DIVIDE, 0b1011, NOW);
    let _ = apic.write(INITIAL_COUNT, 1000, NOW);
    let period = Duration::from_nanos(40_000);
    let late = NOW + period * 3 + Duration::from_nanos(100);
    assert_eq!(apic.read(CURRENT_COUNT, late), 998, "before it has been advanced");
    assert!(apic.advance(late).contains(Effects::IRQ_CHANGED));
    assert_eq!(apic.next_deadline(), Some(NOW + period * 4));
    assert_eq!(apic.read(CURRENT_COUNT, late), 998);
    apic.begin_service();
    assert_eq!(apic.pending(), None, "one vector for three periods");
    let _ = apic.write(INITIAL_COUNT, 0, late);
    assert_eq!((apic.next_deadline(), apic.read(CURRENT_COUNT, late)), (None, 0));
}

#[test]
fn a_masked_timer_counts_and_delivers_nothing() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x1_0020, NOW);
    let _ = apic.write(INITIAL_COUNT, 1000, NOW);
    assert_eq!(apic.next_deadline(), None);
    assert_eq!(apic.read(CURRENT_COUNT, after(Duration::from_nanos(80_000 - 80))), 1);
    assert_eq!(apic.advance(after(Duration::from_millis(1))), Effects::TIMER_CHANGED);
    assert_eq!(apic.pending(), None);
}

#[test]
fn an_expiry_before_a_register_write_is_not_lost() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    let _ = apic.write(INITIAL_COUNT, 10, NOW);
    let effects = apic.write(INITIAL_COUNT, 10, after(Duration::from_millis(1))).effects;
    assert!(effects.contains(Effects::IRQ_CHANGED));
    assert_eq!(apic.pending(), Some(0x20));
}

#[test]
fn a_tsc_deadline_fires_once_and_reads_as_zero_afterwards() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x4_0020, NOW);
    // 2.5 ticks per nanosecond: the deadline lies between two of them.
    let ticks = 5_000_001;
    let _ = apic.write_msr(TSC_DEADLINE, ticks, NOW).expect("the mode has it");
    let due = Instant(2_000_001);
    assert_eq!((apic.next_deadline(), apic.read_msr(TSC_DEADLINE, NOW)), (Some(due), Ok(ticks)));
    assert_eq!(apic.advance(Instant(2_000_000)), Effects::empty());
    assert_eq!(apic.advance(due), Effects::TIMER_CHANGED | Effects::IRQ_CHANGED);
    assert_eq!(apic.begin_service(), 0x20);
    assert_eq!((apic.next_deadline(), apic.read_msr(TSC_DEADLINE, due)), (None, Ok(0)));
    assert_eq!(apic.advance(Instant(u64::MAX)), Effects::empty());
}

#[test]
fn a_tsc_deadline_in_the_past_fires_at_once_and_zero_disarms() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x4_0020, NOW);
    let access = apic.write_msr(TSC_DEADLINE, 1, NOW).expect("the mode has it");
    assert!(access.effects.contains(Effects::IRQ_CHANGED));
    assert_eq!(apic.pending(), Some(0x20));
    let _ = apic.write_msr(TSC_DEADLINE, u64::MAX, NOW).expect("the mode has it");
    assert!(apic.next_deadline().is_some());
    let _ = apic.write_msr(TSC_DEADLINE, 0, NOW).expect("the mode has it");
    assert_eq!(apic.next_deadline(), None);
}

#[test]
fn counts_and_deadlines_belong_to_their_own_modes() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    let _ = apic.write_msr(TSC_DEADLINE, u64::MAX, NOW).expect("ignored");
    assert_eq!((apic.next_deadline(), apic.read_msr(TSC_DEADLINE, NOW)), (None, Ok(0)));
    let _ = apic.write(INITIAL_COUNT, 1000, NOW);
    let _ = apic.write(LVT_TIMER, 0x4_0020, NOW);
    assert_eq!(apic.next_deadline(), None, "the change disarms");
    let _ = apic.write(INITIAL_COUNT, 1000, NOW);
    assert_eq!((apic.next_deadline(), apic.read(CURRENT_COUNT, NOW)), (None, 0));
}

proptest! {
#[test]
fn a_periodic_timer_has_all_its_expiries_on_a_grid(count in 1u32..100_000, waits in prop::collection::vec(1u64..9_000_000, 1..50)) {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x2_0020, NOW);
    let _ = apic.write(DIVIDE, 0b1011, NOW);
    let _ = apic.write(INITIAL_COUNT, count, NOW);
    let period = u64::from(count) * 40;
    let mut now = NOW;
    for wait in waits {
        now = now + Duration::from_nanos(wait);
        let _ = apic.advance(now);
        let next = apic.next_deadline().expect("it goes on");
        prop_assert_eq!((next.0 - NOW.0) % period, 0);
        prop_assert!(next > now && next.0 - now.0 <= period);
        let left = u64::from(apic.read(CURRENT_COUNT, now));
        prop_assert_eq!(left, (next.0 - now.0).div_ceil(40));
    }
}}
