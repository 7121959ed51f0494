//! The end of Weir itself: a broken invariant or an exception of our own. Says all that is known and stops.

use crate::hardware::interrupts::Frame;
use crate::hardware::{clock, cores, cpu, interrupt_controllers};
use crate::log::{line, output, tail};
use crate::vm::history;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The core that panics, plus one; zero while none does.
static PANICKING: AtomicUsize = AtomicUsize::new(0);

/// How long other cores are given to stop.
const GRACE_NANOS: u64 = 1_000_000;

const GENERAL: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

macro_rules! say {
    ($($text:tt)*) => {
        // Nobody else moves lines out of the machine any more.
        {
            output::log_line(|out| line(out, "PANIC", "weir", &format_args!($($text)*)));
            output::flush();
        }
    };
}

/// Reports a Rust panic.
#[cfg(not(test))]
#[panic_handler]
fn rust_panic(info: &core::panic::PanicInfo) -> ! {
    begin();
    say!("{info}");
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) }
    finish(frame)
}

/// Reports an exception in Weir's own code.
pub fn exception(frame: &Frame) -> ! {
    begin();
    say!("exception {} error {:#x} at {:#x}", frame.vector, frame.error, frame.rip);
    for (names, values) in GENERAL.chunks(3).zip(frame.general.chunks(3)) {
        for (name, value) in names.iter().zip(values) {
            say!("  {name:3} {value:016x}");
        }
    }
    say!("  rsp {:016x} rflags {:08x} cs {:04x} ss {:04x}", frame.rsp, frame.rflags, frame.cs, frame.ss);
    let cr2 = x86_64::registers::control::Cr2::read_raw();
    let (cr3, _) = x86_64::registers::control::Cr3::read_raw();
    say!("  cr2 {cr2:016x} cr3 {:016x}", cr3.start_address().as_u64());
    finish(frame.general[8])
}

/// Stops the other cores and makes the log usable again, whoever held it.
fn begin() {
    x86_64::instructions::interrupts::disable();
    let me = cores::current() + 1;
    if PANICKING.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        cpu::halt_forever(); // a panic while panicking: nothing more can be said
    }
    interrupt_controllers::interrupt_others();
    // They need a moment to take the NMI: what they were writing is then whole or lost, but not mixed in.
    let start = cpu::rdtsc();
    while cpu::rdtsc() - start < clock::ticks(GRACE_NANOS) {}
    // SAFETY: interrupts are off, the other cores have stopped, and this path never returns to whoever held the
    // locks.
    unsafe { output::break_locks() }
}

/// Ends this core if another one panics.
pub fn halt_if_elsewhere() {
    let panicking = PANICKING.load(Ordering::Acquire);
    if panicking != 0 && panicking != cores::current() + 1 {
        cpu::halt_forever();
    }
}

fn finish(frame: u64) -> ! {
    backtrace(frame);
    say!("the end of the log:");
    tail::for_each_line(|text| say!("  {text}"));
    say!("the last exits:");
    history::for_each_recent(|text| say!("  {text}"));
    say!("stopped");
    output::flush();
    cpu::halt_forever()
}

/// Follows the chain of frame pointers as long as it looks like one.
fn backtrace(mut frame: u64) {
    say!("backtrace (addr2line -e weir):");
    for _ in 0..32 {
        if frame < 0x1000 || !frame.is_multiple_of(8) {
            return;
        }
        // SAFETY: frame pointers of Weir's own code point into its stacks, and the loop ends where they do
        // not look like it. At worst a second fault halts us, after the registers have been printed.
        let (next, address) = unsafe {
            let frame = frame as *const u64;
            (frame.read_volatile(), frame.add(1).read_volatile())
        };
        if address < 0xffff_ffff_8000_0000 {
            return;
        }
        say!("  {address:#x}");
        if next <= frame {
            return;
        }
        frame = next;
    }
}
