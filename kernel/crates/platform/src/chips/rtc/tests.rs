use super::*;
use base::Duration;
use proptest::prelude::*;

/// 2026-11-23 21:18:04 UTC, a Monday.
const START: u64 = 1_795_468_684;

fn clock() -> Rtc {
    Rtc::new(START, 512 << 20)
}

fn read(rtc: &mut Rtc, index: u8, now: Instant) -> u8 {
    let _ = rtc.write(INDEX_PORT, index, now);
    rtc.read(DATA_PORT, now).0
}

fn write(rtc: &mut Rtc, index: u8, value: u8, now: Instant) {
    let _ = rtc.write(INDEX_PORT, index, now);
    let _ = rtc.write(DATA_PORT, value, now);
}

fn time(rtc: &mut Rtc, now: Instant) -> [u8; 8] {
    [0x32, 9, 8, 7, 6, 4, 2, 0].map(|index| read(rtc, index, now))
}

#[test]
fn time_is_the_hosts_in_bcd_at_reset() {
    let mut rtc = clock();
    assert_eq!(time(&mut rtc, Instant::ZERO), [0x20, 0x26, 0x11, 0x23, 2, 0x21, 0x18, 0x04]);
    let later = Instant(3 * 3600 * SECOND);
    assert_eq!(time(&mut rtc, later), [0x20, 0x26, 0x11, 0x24, 3, 0x00, 0x18, 0x04]);
}

#[test]
fn binary_and_twelve_hour_formats_are_shown() {
    let mut rtc = clock();
    write(&mut rtc, REGISTER_B, 0x06, Instant::ZERO);
    assert_eq!(time(&mut rtc, Instant::ZERO), [20, 26, 11, 23, 2, 21, 18, 4]);
    write(&mut rtc, REGISTER_B, 0x00, Instant::ZERO);
    assert_eq!(read(&mut rtc, 4, Instant::ZERO), 0x89);
}

#[test]
fn the_guest_sets_the_time_under_set_and_it_runs_on_from_there() {
    let mut rtc = clock();
    let now = Instant(5 * SECOND + 123);
    write(&mut rtc, REGISTER_B, 0x82, now);
    for (index, value) in [(0, 0x59), (2, 0x59), (4, 0x23), (7, 0x31), (8, 0x12), (9, 0x99), (0x32, 0x19)] {
        write(&mut rtc, index, value, now);
    }
    assert_eq!(read(&mut rtc, 0, now + Duration::from_secs(9)), 0x59, "SET holds the registers still");
    write(&mut rtc, REGISTER_B, 0x02, now);
    assert_eq!(time(&mut rtc, now + Duration::from_secs(1))[..4], [0x20, 0x00, 0x01, 0x01]);
}

#[test]
fn uip_rises_244_microseconds_before_the_second_ends_and_not_under_set() {
    let mut rtc = clock();
    assert_eq!(read(&mut rtc, REGISTER_A, Instant(SECOND - 244_001)) & UIP, 0);
    assert_eq!(read(&mut rtc, REGISTER_A, Instant(SECOND - 244_000)) & UIP, UIP);
    assert_eq!(read(&mut rtc, REGISTER_A, Instant(SECOND)) & UIP, 0);
    write(&mut rtc, REGISTER_B, 0x82, Instant(SECOND));
    assert_eq!(read(&mut rtc, REGISTER_A, Instant(2 * SECOND - 1)) & UIP, 0);
}

#[test]
fn update_interrupt_comes_every_second_until_c_is_read() {
    let mut rtc = clock();
    assert_eq!(rtc.next_deadline(), None);
    write(&mut rtc, REGISTER_B, 0x12, Instant::ZERO);
    assert_eq!(rtc.next_deadline(), Some(Instant(SECOND)));
    assert_eq!(rtc.advance(Instant(SECOND - 1)), Effects::empty());
    assert!(rtc.advance(Instant(SECOND)).contains(Effects::IRQ_CHANGED));
    assert!(rtc.interrupt());
    assert_eq!(read(&mut rtc, REGISTER_C, Instant(SECOND)) & 0x90, 0x90);
    assert!(!rtc.interrupt());
    assert_eq!(rtc.next_deadline(), Some(Instant(2 * SECOND)));
}

#[test]
fn a_read_that_comes_before_the_timer_reports_the_interrupt() {
    let mut rtc = clock();
    write(&mut rtc, REGISTER_B, 0x12, Instant::ZERO);
    let _ = rtc.write(INDEX_PORT, 0, Instant::ZERO);
    assert!(rtc.read(DATA_PORT, Instant(SECOND)).1.contains(Effects::IRQ_CHANGED));
    assert!(rtc.interrupt());
}

#[test]
fn alarm_interrupt_comes_at_its_time_and_once() {
    let mut rtc = clock();
    for (index, value) in [(5, 0x21), (3, 0x20), (1, 0x00)] {
        write(&mut rtc, index, value, Instant::ZERO);
    }
    write(&mut rtc, REGISTER_B, 0x22, Instant::ZERO);
    let due = Instant(116 * SECOND);
    assert_eq!(rtc.next_deadline(), Some(due));
    let _ = rtc.advance(due);
    assert_eq!(read(&mut rtc, REGISTER_C, due) & 0xa0, 0xa0);
    assert_eq!(rtc.next_deadline(), Some(Instant((116 + 86_400) * SECOND)));
}

#[test]
fn an_alarm_that_went_off_before_its_interrupt_was_enabled_wakes_when_it_is() {
    let mut rtc = clock();
    for index in [1, 3, 5] {
        write(&mut rtc, index, 0xff, Instant::ZERO);
    }
    let later = Instant(SECOND);
    write(&mut rtc, REGISTER_B, 0x02, later);
    assert!(!rtc.take_alarm() && !rtc.interrupt());
    write(&mut rtc, REGISTER_B, 0x22, later);
    assert!(rtc.take_alarm() && rtc.interrupt());
    write(&mut rtc, REGISTER_B, 0x22, later);
    assert!(!rtc.take_alarm(), "once");
}

#[test]
fn alarm_with_any_in_all_fields_matches_every_second_and_nonsense_never() {
    let mut rtc = clock();
    for index in [1, 3, 5] {
        write(&mut rtc, index, 0xc0, Instant::ZERO);
    }
    write(&mut rtc, REGISTER_B, 0x22, Instant::ZERO);
    assert_eq!(rtc.next_deadline(), Some(Instant(SECOND)));
    write(&mut rtc, 3, 0x77, Instant::ZERO);
    assert_eq!(rtc.next_deadline(), None);
}

#[test]
fn periodic_interrupt_has_its_rate() {
    let mut rtc = clock();
    write(&mut rtc, REGISTER_B, 0x42, Instant::ZERO);
    let mut ticks = 0;
    while let Some(deadline) = rtc.next_deadline().filter(|deadline| deadline.0 <= SECOND) {
        let _ = rtc.advance(deadline);
        assert!(rtc.interrupt());
        assert_eq!(read(&mut rtc, REGISTER_C, deadline) & 0xc0, 0xc0);
        ticks += 1;
    }
    assert_eq!(ticks, 1024);
}

#[test]
fn after_divider_reset_the_first_update_comes_in_half_a_second() {
    let mut rtc = clock();
    let now = Instant(7 * SECOND + 900_000_000);
    let shown = rtc.unix_seconds(now);
    write(&mut rtc, REGISTER_A, 0x70, now);
    write(&mut rtc, REGISTER_A, 0x26, now);
    assert_eq!(rtc.unix_seconds(now + Duration::from_millis(499)), shown);
    assert_eq!(rtc.unix_seconds(now + Duration::from_millis(501)), shown + 1);
}

#[test]
fn memory_is_kept_and_the_valid_bit_is_read_only() {
    let mut rtc = clock();
    write(&mut rtc, 0x50, 0xa5, Instant::ZERO);
    write(&mut rtc, REGISTER_D, 0, Instant::ZERO);
    assert_eq!(read(&mut rtc, 0x50, Instant::ZERO), 0xa5);
    assert_eq!(read(&mut rtc, REGISTER_D, Instant::ZERO), 0x80);
    assert_eq!((read(&mut rtc, 0x16, Instant::ZERO), read(&mut rtc, 0x15, Instant::ZERO)), (2, 0x80));
    assert_eq!(rtc.read(INDEX_PORT, Instant::ZERO).0, 0xff);
}

proptest! {
    #[test]
    fn any_traffic_is_survived_and_deadlines_lie_ahead(
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u32>()), 0..300)
    ) {
        let mut rtc = clock();
        let mut now = Instant::ZERO;
        for (index, value, wait) in steps {
            now = now + Duration::from_nanos(wait.into());
            write(&mut rtc, index & 0x0f, value, now);
            let _ = read(&mut rtc, value, now);
            let _ = rtc.advance(now);
            if let Some(deadline) = rtc.next_deadline() {
                prop_assert!(deadline > now, "{deadline:?} at {now:?}");
            }
        }
    }

    #[test]
    fn what_is_set_is_what_is_read(
        seconds in 0i64..4_000_000_000, format in 0u8..4, at in 0u64..10_000_000_000
    ) {
        let mut rtc = clock();
        let (b, now) = (RegisterB::from_bits_truncate(format << 1), Instant(at));
        write(&mut rtc, REGISTER_B, (b | RegisterB::SET).bits(), now);
        rtc.cmos.set_time(&Calendar::from_unix(seconds), b);
        write(&mut rtc, REGISTER_B, b.bits(), now);
        prop_assert_eq!(rtc.unix_seconds(now), seconds);
    }
}
