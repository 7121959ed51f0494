use super::*;
use base::Duration;
use proptest::prelude::*;

/// An instant at which `ticks` periods of the clock have passed.
fn at(ticks: u64) -> Instant {
    instant(ticks)
}

fn program(pit: &mut Pit, counter: u8, mode: u8, count: u16, now: Instant) {
    let _ = pit.write(CONTROL_PORT, counter << 6 | 0x30 | mode << 1, now);
    for byte in count.to_le_bytes() {
        let _ = pit.write(FIRST_PORT + u16::from(counter), byte, now);
    }
}

fn read_word(pit: &mut Pit, counter: u16, now: Instant) -> u16 {
    let low = pit.read(FIRST_PORT + counter, now);
    u16::from_le_bytes([low, pit.read(FIRST_PORT + counter, now)])
}

fn open_gate(pit: &mut Pit, now: Instant) {
    let _ = pit.write(PORT_61, 1, now);
}

fn out2(pit: &mut Pit, now: Instant) -> bool {
    pit.read(PORT_61, now) & OUT_2 != 0
}

#[test]
fn mode_2_counts_from_its_count_to_one_and_interrupts_each_period() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(0));
    assert!(pit.irq0() && !pit.take_irq0_edge(), "high from the start");
    for (tick, value) in [(0, 1000), (1, 999), (999, 1), (1000, 1000), (2500, 500)] {
        assert_eq!(read_word(&mut pit, 0, at(tick)), value, "tick {tick}");
    }
    assert_eq!(pit.next_deadline(), Some(at(1000)));
    pit.take_irq0_edge();
    assert_eq!(pit.advance(Instant(at(1000).0 - 1)), Effects::empty());
    assert_eq!(pit.advance(at(1000)), Effects::IRQ_CHANGED | Effects::TIMER_CHANGED);
    assert!(pit.take_irq0_edge() && !pit.take_irq0_edge() && pit.irq0());
    assert_eq!(pit.next_deadline(), Some(at(2000)));
}

#[test]
fn in_mode_2_the_output_is_low_for_the_last_tick_of_each_period() {
    let mut pit = Pit::new();
    open_gate(&mut pit, at(0));
    program(&mut pit, 2, 2, 4, at(0));
    let wave = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|tick| out2(&mut pit, at(tick)));
    assert_eq!(wave, [true, true, true, false, true, true, true, false, true]);
    let _ = pit.write(PORT_61, 0, at(11));
    assert!(out2(&mut pit, at(11)), "held by the gate it is high");
}

#[test]
fn several_periods_at_once_are_one_edge_and_the_phase_stays() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(7));
    pit.take_irq0_edge();
    assert!(pit.advance(at(5500)).contains(Effects::IRQ_CHANGED));
    assert!(pit.take_irq0_edge());
    assert_eq!(pit.next_deadline(), Some(at(6007)));
}

#[test]
fn an_hour_of_ticks_has_no_drift() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 11_932, Instant::ZERO);
    let mut edges = 0u64;
    let end = Instant::ZERO + Duration::from_secs(3600);
    while let Some(next) = pit.next_deadline().filter(|next| *next <= end) {
        let _ = pit.advance(next);
        edges += 1;
    }
    assert_eq!(edges, 3600 * u64::from(PIT_HZ) / 11_932);
}

#[test]
fn mode_0_interrupts_once_when_the_count_has_run_out() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 0, 100, at(0));
    assert!(!pit.irq0());
    assert_eq!(pit.next_deadline(), Some(at(100)));
    assert_eq!(pit.advance(at(100)), Effects::IRQ_CHANGED | Effects::TIMER_CHANGED);
    assert!(pit.irq0());
    assert_eq!(pit.next_deadline(), None);
    assert_eq!(read_word(&mut pit, 0, at(102)), 0xfffe, "it counts on");
    // A new count starts over; its first byte stops the old one.
    let _ = pit.write(FIRST_PORT, 50, at(200));
    assert!(!pit.irq0());
    assert_eq!(pit.next_deadline(), None);
    let _ = pit.write(FIRST_PORT, 0, at(210));
    assert_eq!(pit.next_deadline(), Some(at(260)));
}

#[test]
fn mode_4_interrupts_after_its_strobe() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 4, 100, at(0));
    pit.take_irq0_edge();
    assert_eq!(pit.next_deadline(), Some(at(101)));
    assert!(pit.advance(at(101)).contains(Effects::IRQ_CHANGED));
    assert_eq!(pit.next_deadline(), None);
    for byte in [20, 0] {
        let _ = pit.write(FIRST_PORT, byte, at(300));
    }
    assert_eq!(pit.next_deadline(), Some(at(321)), "a count alone starts the next strobe");
}

#[test]
fn mode_3_is_a_square_wave_that_counts_by_two() {
    let mut pit = Pit::new();
    open_gate(&mut pit, at(0));
    program(&mut pit, 2, 3, 10, at(0));
    let shown: alloc::vec::Vec<(u16, bool)> =
        (0..11).map(|tick| (read_word(&mut pit, 2, at(tick)), out2(&mut pit, at(tick)))).collect();
    let high = [10, 8, 6, 4, 2].map(|value| (value, true));
    let low = [10, 8, 6, 4, 2].map(|value| (value, false));
    assert_eq!(shown[..5], high);
    assert_eq!(shown[5..10], low);
    assert_eq!(shown[10], (10, true));
    // An odd count is high for one period more than low.
    program(&mut pit, 2, 3, 5, at(0));
    let wave = [0, 1, 2, 3, 4, 5].map(|tick| out2(&mut pit, at(tick)));
    assert_eq!(wave, [true, true, true, false, false, true]);
}

#[test]
fn in_modes_2_and_3_a_new_count_waits_for_the_end_of_the_period() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(0));
    for byte in 400u16.to_le_bytes() {
        let _ = pit.write(FIRST_PORT, byte, at(300));
    }
    assert_eq!(read_word(&mut pit, 0, at(900)), 100);
    assert_eq!(pit.next_deadline(), Some(at(1000)));
    let _ = pit.advance(at(1000));
    assert_eq!(pit.next_deadline(), Some(at(1400)));
    assert_eq!(read_word(&mut pit, 0, at(1100)), 300);
}

#[test]
fn reading_a_counter_does_not_lose_an_earlier_edge() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(0));
    for byte in 400u16.to_le_bytes() {
        let _ = pit.write(FIRST_PORT, byte, at(300));
    }
    assert_eq!(read_word(&mut pit, 0, at(1100)), 300, "the new count has taken over");
    assert_eq!(pit.next_deadline(), Some(at(1000)), "the end of the old one is not reported yet");
    assert!(pit.advance(at(1100)).contains(Effects::IRQ_CHANGED));
    assert!(pit.take_irq0_edge());
}

#[test]
fn the_gate_of_counter_2_stops_and_triggers() {
    let mut pit = Pit::new();
    program(&mut pit, 2, 0, 1000, at(0));
    assert_eq!(read_word(&mut pit, 2, at(500)), 1000, "held");
    open_gate(&mut pit, at(500));
    assert_eq!(read_word(&mut pit, 2, at(600)), 900);
    let _ = pit.write(PORT_61, 0, at(700));
    assert_eq!(read_word(&mut pit, 2, at(900)), 800);
    open_gate(&mut pit, at(1000));
    assert!(!out2(&mut pit, at(1799)) && out2(&mut pit, at(1800)));
}

#[test]
fn modes_1_and_5_start_at_the_gates_edge() {
    for (mode, levels) in [(1, [false, true, true]), (5, [true, false, true])] {
        let mut pit = Pit::new();
        open_gate(&mut pit, at(0));
        program(&mut pit, 2, mode, 100, at(0));
        assert!(out2(&mut pit, at(50)), "not triggered");
        let _ = pit.write(PORT_61, 0, at(60));
        open_gate(&mut pit, at(70));
        assert_eq!([169, 170, 171].map(|tick| out2(&mut pit, at(tick))), levels, "mode {mode}");
        let _ = pit.write(PORT_61, 0, at(180));
        open_gate(&mut pit, at(190));
        assert_eq!(read_word(&mut pit, 2, at(200)), 90, "triggered again");
    }
}

#[test]
fn a_latched_count_waits_to_be_read() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(0));
    let _ = pit.write(CONTROL_PORT, 0, at(100));
    let _ = pit.write(CONTROL_PORT, 0, at(150));
    assert_eq!(read_word(&mut pit, 0, at(200)), 900, "the first latch counts");
    assert_eq!(read_word(&mut pit, 0, at(200)), 800);
}

#[test]
fn read_back_latches_status_and_count_of_several_counters() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 1000, at(0));
    let _ = pit.write(CONTROL_PORT, 0xb0, at(0));
    let _ = pit.write(CONTROL_PORT, 0xc0 | 0b1010, at(100));
    assert_eq!(pit.read(FIRST_PORT, at(100)), 0xb4, "output, both bytes, mode 2");
    assert_eq!(read_word(&mut pit, 0, at(300)), 900);
    assert_eq!(pit.read(FIRST_PORT + 2, at(100)), 0x70, "no count yet, mode 0");
    assert_eq!(pit.read(CONTROL_PORT, at(100)), 0xff);
}

#[test]
fn single_bytes_and_bcd_are_read_as_written() {
    let mut pit = Pit::new();
    let _ = pit.write(CONTROL_PORT, 0x14, at(0));
    let _ = pit.write(FIRST_PORT, 100, at(0));
    assert_eq!((pit.read(FIRST_PORT, at(10)), pit.read(FIRST_PORT, at(20))), (90, 80));
    let _ = pit.write(CONTROL_PORT, 0x24, at(0));
    let _ = pit.write(FIRST_PORT, 2, at(0));
    assert_eq!(pit.read(FIRST_PORT, at(256)), 1);
    let _ = pit.write(CONTROL_PORT, 0x35, at(0));
    for byte in [0x00, 0x10] {
        let _ = pit.write(FIRST_PORT, byte, at(0));
    }
    assert_eq!(read_word(&mut pit, 0, at(1)), 0x0999);
    assert_eq!(pit.next_deadline(), Some(at(1000)));
}

#[test]
fn a_count_of_zero_is_the_largest() {
    let mut pit = Pit::new();
    program(&mut pit, 0, 2, 0, at(0));
    assert_eq!(pit.next_deadline(), Some(at(65_536)));
    assert_eq!(read_word(&mut pit, 0, at(1)), 0xffff);
}

#[test]
fn the_refresh_bit_toggles() {
    let mut pit = Pit::new();
    let bits = [0, 20_000, 40_000].map(|nanos| pit.read(PORT_61, Instant(nanos)) & REFRESH);
    assert_eq!(bits, [0, REFRESH, 0]);
}

proptest! {
    #[test]
    fn any_traffic_keeps_deadlines_ahead(
        steps in prop::collection::vec((0u8..4, 0u16..5, any::<u8>(), 0u64..3_000_000), 0..200)
    ) {
        let mut pit = Pit::new();
        let mut now = Instant::ZERO;
        for (what, port, value, wait) in steps {
            now = now + Duration::from_nanos(wait);
            let port = if port == 4 { PORT_61 } else { FIRST_PORT + port };
            match what {
                0 | 1 => { let _ = pit.write(port, value, now); }
                2 => { pit.read(port, now); }
                _ => { let _ = pit.advance(now); }
            }
            if what != 2 {
                prop_assert!(pit.next_deadline().is_none_or(|next| next > now));
            }
        }
    }

    #[test]
    fn instants_and_ticks_agree(ticks in 0u64..(u64::MAX / 1000)) {
        prop_assert_eq!(tick(instant(ticks)), ticks);
        prop_assert!(ticks == 0 || tick(Instant(instant(ticks).0 - 1)) == ticks - 1);
    }
}
