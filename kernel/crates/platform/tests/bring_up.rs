//! The accesses of a stock Linux kernel to interrupt controllers and timers during boot, in its order.
#![allow(
    clippy::cast_possible_truncation,
    reason = "tests cast their own numbers, and a lost bit makes them fail"
)]

mod guest;

use base::{Duration, Instant};
use guest::{
    ACTIVE_LOW, CURRENT_COUNT, DIVIDE, Guest, IA32_TSC_DEADLINE, ICR, INITIAL_COUNT, LEVEL, LVT_LINT0,
    LVT_TIMER, MASKED, SVR, TSC_HZ,
};
use platform::layout;
use platform::local_apic::APIC_TIMER_HZ;
use platform::pci::FIRST_NIC_SLOT;

/// The frequencies that every guest assumes for these clocks, independent of the models' constants.
const PIT_HZ: u32 = 1_193_182;
const PM_TIMER_HZ: u64 = 3_579_545;
const MILLISECOND: Duration = Duration::from_millis(1);
/// Counts per interrupt at 250 Hz.
const TICK_COUNTS: u64 = 4773;

/// Both 8259As set up with vectors from 0x30 on; every input masked.
fn initialize_8259s(guest: &mut Guest, icw4: u8) {
    for (port, value) in [
        (0x21, 0xff),
        (0x20, 0x11),
        (0x21, 0x30),
        (0x21, 0x04),
        (0x21, icw4),
        (0xa0, 0x11),
        (0xa1, 0x38),
        (0xa1, 0x02),
        (0xa1, 0x01),
        (0x21, 0xff),
        (0xa1, 0xff),
    ] {
        guest.outb(port, value);
    }
}

/// Counter 0 as rate generator at 250 Hz.
fn start_tick(guest: &mut Guest) {
    guest.outb(0x43, 0x34);
    for byte in (TICK_COUNTS as u16).to_le_bytes() {
        guest.outb(0x40, byte);
    }
}

/// True when `measured` is `expected` within `tolerance`.
fn close(measured: u64, expected: u64, tolerance: u64) -> bool {
    measured.abs_diff(expected) <= tolerance
}

#[test]
fn the_8259_is_found_by_its_mask_register() {
    let mut guest = Guest::new();
    guest.outb(0xa1, 0xff);
    guest.outb(0x21, 0xfb);
    assert_eq!((guest.inb(0x21), guest.inb(0xa1)), (0xfb, 0xff));
}

#[test]
fn before_the_io_apic_is_used_the_timer_arrives_through_lint0() {
    let mut guest = Guest::new();
    initialize_8259s(&mut guest, 0x01);
    guest.outb(0x21, 0xfe);
    start_tick(&mut guest);
    // A rise of the output caused by programming the counter is no tick.
    let _ = guest.take();
    guest.outb(0x20, 0x60);
    let mut ticks = 0;
    for _ in 0..400 {
        guest.now = guest.now + Duration::from_micros(100);
        if guest.pc.next_deadline().is_some_and(|deadline| deadline <= guest.now) {
            let _ = guest.pc.advance(guest.now);
        }
        if let Some(vector) = guest.take() {
            assert_eq!(vector, 0x30);
            assert_eq!(guest.take(), None, "in service until its end");
            guest.outb(0x20, 0x60);
            ticks += 1;
        }
    }
    assert!(close(ticks, 10, 1), "{ticks} ticks in 40 ms at 250 Hz");
    guest.write_apic(LVT_LINT0, MASKED | 0x700);
    guest.now = guest.now + 10 * MILLISECOND;
    let _ = guest.pc.advance(guest.now);
    assert_eq!(guest.take(), None, "LINT0 is masked");
}

#[test]
fn counter_2_measures_ten_milliseconds_by_port_61() {
    let mut guest = Guest::new();
    let control = guest.inb(0x61);
    guest.outb(0x61, control & !0x02 | 0x01);
    guest.outb(0x43, 0xb0);
    let counts = (PIT_HZ / 100) as u16;
    for byte in counts.to_le_bytes() {
        guest.outb(0x42, byte);
    }
    let start = guest.now;
    while guest.inb(0x61) & 0x20 == 0 {
        guest.now = guest.now + Duration::from_nanos(700);
        assert!((guest.now - start) < 20 * MILLISECOND, "the output never rises");
    }
    let nanos = (guest.now - start).as_nanos() as u64;
    assert!(close(nanos, 10_000_000, 3_000), "{nanos} ns");
}

#[test]
fn the_high_byte_of_counter_2_steps_every_256_counts() {
    let mut guest = Guest::new();
    guest.outb(0x61, 0x01);
    for (port, value) in [(0x43, 0xb0), (0x42, 0xff), (0x42, 0xff)] {
        guest.outb(port, value);
    }
    let mut steps = Vec::new();
    let mut last = 0xff;
    for _ in 0..20_000 {
        let _ = guest.inb(0x42);
        let high = guest.inb(0x42);
        if high != last {
            assert_eq!(high, last - 1, "no step is left out");
            steps.push(guest.now);
            last = high;
        }
        guest.now = guest.now + Duration::from_nanos(800);
    }
    let expected = 256 * 1_000_000_000 / u64::from(PIT_HZ);
    assert!(steps.len() > 60);
    for pair in steps.windows(2).skip(1) {
        let nanos = (pair[1] - pair[0]).as_nanos() as u64;
        assert!(close(nanos, expected, 1_700), "{nanos} ns");
    }
}

#[test]
fn the_io_apic_has_24_masked_inputs_and_keeps_what_is_written() {
    let mut guest = Guest::in_apic_mode();
    let version = guest.read_io_apic(1);
    assert_eq!(version >> 16 & 0xff, 23);
    assert!(matches!(version & 0xff, 0x11 | 0x20));
    for pin in 0..24 {
        assert_eq!(guest.read_io_apic(0x10 + 2 * pin) & MASKED, MASKED);
        guest.write_io_apic(0x10 + 2 * pin, MASKED | LEVEL | ACTIVE_LOW | 0x930 | u32::from(pin));
        guest.write_io_apic(0x11 + 2 * pin, 0x5a00_0000);
    }
    for pin in 0..24 {
        let low = MASKED | LEVEL | ACTIVE_LOW | 0x930 | u32::from(pin);
        assert_eq!(guest.read_io_apic(0x10 + 2 * pin), low);
        assert_eq!(guest.read_io_apic(0x11 + 2 * pin), 0x5a00_0000);
    }
}

#[test]
fn the_timer_check_counts_ticks_at_pin_2() {
    let mut guest = Guest::in_apic_mode();
    // With automatic end of interrupt, as for the check; all inputs stay masked.
    initialize_8259s(&mut guest, 0x03);
    start_tick(&mut guest);
    guest.route(2, 0x30);
    let start = guest.now;
    let taken = guest.run(40 * MILLISECOND);
    assert!(taken.iter().all(|(_, vector)| *vector == 0x30), "{taken:?}");
    assert!(close(taken.len() as u64, 10, 1), "{taken:?}");
    let period = TICK_COUNTS * 1_000_000_000 / u64::from(PIT_HZ);
    for (number, (at, _)) in (1u64..).zip(&taken) {
        let due = start + Duration::from_nanos(number * period);
        assert!(close(at.0, due.0, 2_000), "tick {number} at {at}, due {due}");
    }
    guest.route(2, MASKED | 0x30);
    assert_eq!(guest.run(20 * MILLISECOND), []);
}

#[test]
fn a_tick_that_is_served_late_is_one_interrupt_and_the_next_is_in_phase() {
    let mut guest = Guest::in_apic_mode();
    start_tick(&mut guest);
    guest.route(2, 0x30);
    let start = guest.now;
    let period = TICK_COUNTS * 1_000_000_000 / u64::from(PIT_HZ);
    guest.now = start + Duration::from_nanos(7 * period + period / 2);
    let _ = guest.pc.advance(guest.now);
    let taken = guest.run(Duration::from_nanos(period));
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(close(taken[1].0.0, (start + Duration::from_nanos(8 * period)).0, 2_000), "{taken:?}");
}

#[test]
fn switching_counter_0_off_leaves_at_most_one_interrupt() {
    let mut guest = Guest::in_apic_mode();
    start_tick(&mut guest);
    guest.route(2, 0x30);
    let _ = guest.run(10 * MILLISECOND);
    for (port, value) in [(0x43, 0x30), (0x40, 0), (0x40, 0)] {
        guest.outb(port, value);
    }
    assert!(guest.run(Duration::from_secs(2)).len() <= 1);
    assert_eq!(guest.pc.next_deadline(), None, "a guest that sleeps is not woken for nothing");
}

#[test]
fn local_apic_timer_and_power_management_timer_agree() {
    let mut guest = Guest::in_apic_mode();
    guest.write_apic(DIVIDE, 0b0011);
    guest.write_apic(LVT_TIMER, MASKED | 0xec);
    guest.write_apic(INITIAL_COUNT, u32::MAX);
    let (count, pm) = (guest.read_apic(CURRENT_COUNT), guest.inl(0x608));
    assert_eq!(guest.run(100 * MILLISECOND), []);
    let counts = u64::from(count.wrapping_sub(guest.read_apic(CURRENT_COUNT)));
    let pm = u64::from(guest.inl(0x608).wrapping_sub(pm));
    assert!(close(counts, u64::from(APIC_TIMER_HZ) / 16 / 10, 1), "{counts}");
    assert!(close(pm, PM_TIMER_HZ / 10, 1), "{pm}");
}

#[test]
fn the_periodic_timer_keeps_its_phase_over_ten_thousand_periods() {
    let mut guest = Guest::in_apic_mode();
    guest.write_apic(DIVIDE, 0b1011);
    guest.write_apic(LVT_TIMER, 1 << 17 | 0xec);
    guest.write_apic(INITIAL_COUNT, APIC_TIMER_HZ / 1000);
    let start = guest.now;
    let taken = guest.run(Duration::from_secs(10));
    assert_eq!(taken.len(), 10_000);
    assert_eq!(taken.last(), Some(&(start + Duration::from_secs(10), 0xec)));
}

#[test]
fn a_tsc_deadline_fires_once_not_before_its_time_and_disarms_itself() {
    let mut guest = Guest::in_apic_mode();
    guest.write_apic(LVT_TIMER, 2 << 17 | 0xec);
    let deadline = guest.tsc() + TSC_HZ / 1000 + 1;
    assert!(guest.write_msr(IA32_TSC_DEADLINE, deadline));
    assert_eq!(guest.read_msr(IA32_TSC_DEADLINE), Some(deadline));
    let taken = guest.run(100 * MILLISECOND);
    assert_eq!(taken.len(), 1, "{taken:?}");
    let ticks = u128::from(taken[0].0.0) * u128::from(TSC_HZ) / 1_000_000_000;
    assert!(ticks >= deadline.into(), "{} ticks early", u128::from(deadline) - ticks);
    assert!(ticks - u128::from(deadline) < 10);
    assert_eq!(guest.read_msr(IA32_TSC_DEADLINE), Some(0));
}

#[test]
fn a_tsc_deadline_in_the_past_fires_at_once_and_zero_disarms() {
    let mut guest = Guest::in_apic_mode();
    guest.write_apic(LVT_TIMER, 2 << 17 | 0xec);
    assert!(guest.write_msr(IA32_TSC_DEADLINE, 1));
    assert_eq!(guest.take(), Some(0xec));
    guest.write_apic(guest::EOI, 0);
    let soon = guest.tsc() + 1000;
    assert!(guest.write_msr(IA32_TSC_DEADLINE, soon));
    assert!(guest.write_msr(IA32_TSC_DEADLINE, 0));
    assert_eq!(guest.run(100 * MILLISECOND), []);
}

#[test]
fn a_vnics_level_is_sent_again_until_the_driver_releases_it() {
    let mut guest = Guest::in_apic_mode();
    let pin = layout::pci_gsi(FIRST_NIC_SLOT, 0);
    guest.route(pin, LEVEL | ACTIVE_LOW | 0x41);
    let _ = guest.pc.set_function_interrupt(FIRST_NIC_SLOT, true);
    for _ in 0..3 {
        assert_eq!(guest.take(), Some(0x41));
        assert_eq!(guest.take(), None, "in service");
        guest.write_apic(guest::EOI, 0);
    }
    assert_eq!(guest.take(), Some(0x41));
    let _ = guest.pc.set_function_interrupt(FIRST_NIC_SLOT, false);
    guest.write_apic(guest::EOI, 0);
    assert_eq!(guest.take(), None);
}

#[test]
fn a_level_that_is_asserted_behind_the_mask_arrives_when_the_mask_opens() {
    let mut guest = Guest::in_apic_mode();
    let pin = layout::pci_gsi(FIRST_NIC_SLOT, 0);
    guest.route(pin, MASKED | LEVEL | ACTIVE_LOW | 0x41);
    let _ = guest.pc.set_function_interrupt(FIRST_NIC_SLOT, true);
    assert_eq!(guest.take(), None);
    guest.route(pin, LEVEL | ACTIVE_LOW | 0x41);
    assert_eq!(guest.take(), Some(0x41));
}

#[test]
fn masking_a_level_in_service_and_ending_it_does_not_lose_it() {
    let mut guest = Guest::in_apic_mode();
    let pin = layout::pci_gsi(FIRST_NIC_SLOT, 0);
    let entry = LEVEL | ACTIVE_LOW | 0x41;
    guest.route(pin, entry);
    let _ = guest.pc.set_function_interrupt(FIRST_NIC_SLOT, true);
    assert_eq!(guest.take(), Some(0x41));
    guest.route(pin, MASKED | entry);
    guest.write_apic(guest::EOI, 0);
    assert_eq!(guest.take(), None);
    guest.route(pin, entry);
    assert_eq!(guest.take(), Some(0x41));
}

#[test]
fn two_vnics_do_not_disturb_each_other() {
    let mut guest = Guest::in_apic_mode();
    let (first, second) = (FIRST_NIC_SLOT, FIRST_NIC_SLOT + 1);
    guest.route(layout::pci_gsi(first, 0), LEVEL | 0x41);
    guest.route(layout::pci_gsi(second, 0), LEVEL | 0x51);
    let _ = guest.pc.set_function_interrupt(first, true);
    let _ = guest.pc.set_function_interrupt(second, true);
    assert_eq!(guest.take(), Some(0x51), "the higher vector comes first");
    assert_eq!(guest.take(), None, "the lower one waits for its end");
    let _ = guest.pc.set_function_interrupt(second, false);
    guest.write_apic(guest::EOI, 0);
    assert_eq!(guest.take(), Some(0x41));
}

#[test]
fn self_ipis_and_task_priority_order_interrupts() {
    let mut guest = Guest::in_apic_mode();
    guest.write_apic(ICR, 0x4_0000 | 0x4035);
    guest.write_apic(ICR, 0x4_0000 | 0x40f6);
    guest.write_apic(0x80, 0xf0);
    assert_eq!(guest.take(), None, "the task's priority is as high");
    guest.write_apic(0x80, 0x30);
    assert_eq!(guest.take(), Some(0xf6));
    guest.write_apic(guest::EOI, 0);
    assert_eq!(guest.take(), None, "0x35 is of the task's class");
    guest.write_apic(0x80, 0);
    assert_eq!(guest.take(), Some(0x35));
}

#[test]
fn x2apic_mode_is_entered_left_and_refused_as_the_manual_says() {
    const IA32_APIC_BASE: u32 = 0x1b;
    let (enabled, x2apic) = (1 << 11, 1 << 10);
    let mut guest = Guest::in_apic_mode();
    let base = guest.read_msr(IA32_APIC_BASE).expect("readable");
    assert_eq!(base, layout::LOCAL_APIC | enabled | 1 << 8);
    assert_eq!(guest.read_msr(0x802), None, "x2APIC registers exist in x2APIC mode only");
    assert!(guest.write_msr(IA32_APIC_BASE, base | x2apic));
    assert_eq!(guest.read_msr(0x802), Some(0));
    assert_eq!(guest.read_msr(0x80f), Some(0x1ff), "software enable survives");
    assert!(!guest.write_msr(IA32_APIC_BASE, base), "not back to xAPIC mode directly");
    assert!(!guest.write_msr(0x80b, 1), "EOI takes zero only");
    assert!(guest.write_msr(0x83f, 0x77), "self IPI");
    assert_eq!(guest.take(), Some(0x77));
    assert!(guest.write_msr(0x80b, 0));
    assert!(guest.write_msr(IA32_APIC_BASE, base & !enabled));
    assert!(!guest.write_msr(IA32_APIC_BASE, base | x2apic), "not from disabled to x2APIC mode");
    assert!(guest.write_msr(IA32_APIC_BASE, base));
    assert_eq!(guest.read_apic(SVR), 0xff, "the state did not survive");
}

#[test]
fn a_serial_port_interrupt_reaches_input_4() {
    let mut guest = Guest::in_apic_mode();
    guest.route(4, 0x34);
    guest.outb(0x3fc, 0x0b);
    guest.outb(0x3f9, 0x01);
    assert!(guest.pc.give_console(b'x', guest.now).0);
    let taken = guest.run(10 * MILLISECOND);
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0].1, 0x34);
    assert_eq!(guest.inb(0x3f8), b'x');
}

#[test]
fn the_board_has_no_early_deadline_before_the_guest_starts_a_timer() {
    let mut guest = Guest::new();
    assert_eq!(guest.run(Duration::from_secs(10)), []);
    assert!(guest.pc.next_deadline().is_none_or(|deadline| deadline > Instant(17_000_000_000)));
}
