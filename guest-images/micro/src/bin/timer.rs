//! Tests that timer interrupts arrive and wake the processor from HLT: those of the 8254 through the 8259s, and
//! those of the local APIC's timer in all three modes.
#![no_std]
#![no_main]

use micro::apic::{self, Register, TimerMode};
use micro::{Boot, Verdict, ensure, line, pic, processor, trap};

micro::guest!("timer", main);

const HERTZ: u32 = 100;
const VECTOR: u8 = 0x40;

/// Sleeps until `done` returns true, for at most this many timer ticks; returns false after that time.
fn sleep_until(ticks: u32, done: impl Fn() -> bool) -> bool {
    let start = pic::ticks();
    while !done() {
        if pic::ticks().wrapping_sub(start) >= ticks {
            return false;
        }
        processor::sleep();
    }
    true
}

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    pic::start_timer(HERTZ);
    while pic::ticks() < 10 {
        processor::sleep();
    }
    line!("8254: 10 interrupts");

    // Measures the speed of the local APIC's timer in counts per tick of the 8254.
    apic::start_timer(VECTOR, TimerMode::OneShot, u32::MAX);
    apic::write(Register::LvtTimer, 1 << 16);
    let (start, stamp) = (pic::ticks(), processor::time_stamp());
    sleep_until(10, || false);
    let elapsed = pic::ticks() - start;
    let counts = (u32::MAX - apic::read(Register::CurrentCount)) / elapsed;
    let stamps = (processor::time_stamp() - stamp) / u64::from(elapsed);
    apic::stop_timer();
    line!("one tick of 10 ms: {counts} counts of the local APIC's timer, {stamps} of the time-stamp counter");
    ensure!(counts > 0, "the local APIC's timer does not count");

    let before = trap::count(VECTOR);
    apic::start_timer(VECTOR, TimerMode::OneShot, counts);
    ensure!(sleep_until(20, || trap::count(VECTOR) != before), "one-shot: no interrupt");
    sleep_until(5, || false);
    ensure!(trap::count(VECTOR) == before + 1, "one-shot: {} interrupts", trap::count(VECTOR) - before);
    ensure!(apic::read(Register::CurrentCount) == 0, "one-shot: the count does not stay at zero");

    let before = trap::count(VECTOR);
    apic::start_timer(VECTOR, TimerMode::Periodic, counts);
    ensure!(sleep_until(100, || trap::count(VECTOR) >= before + 10), "periodic: fewer than 10 interrupts");
    apic::stop_timer();
    processor::take_interrupts();
    let before = trap::count(VECTOR);
    sleep_until(5, || false);
    ensure!(trap::count(VECTOR) == before, "periodic: interrupts after the stop");

    ensure!(apic::has_deadline(), "CPUID lists no TSC-deadline mode");
    let before = trap::count(VECTOR);
    let deadline = processor::time_stamp() + stamps;
    apic::set_deadline(VECTOR, deadline);
    ensure!(sleep_until(20, || trap::count(VECTOR) != before), "TSC-deadline: no interrupt");
    ensure!(processor::time_stamp() >= deadline, "TSC-deadline: too early");
    ensure!(apic::deadline() == 0, "TSC-deadline: IA32_TSC_DEADLINE is not zero afterwards");
    apic::set_deadline(VECTOR, 1);
    ensure!(sleep_until(20, || trap::count(VECTOR) == before + 2), "TSC-deadline in the past: no interrupt");
    Ok(())
}
