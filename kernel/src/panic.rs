//! Weir's own end, after a broken invariant or an exception in its code: reports everything that is known, and
//! halts.

use crate::hardware::interrupt::idt::InterruptFrame;
use crate::hardware::interrupt::local_apic;
use crate::hardware::machine_check;
use crate::log::{line, output, tail};
use crate::net;
use crate::processor::{clock, cpu, panicking};
use crate::vm::exits::history;
use core::fmt;

/// How long the other cores are given to stop.
const GRACE_NANOS: u64 = 1_000_000;

const GENERAL: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

/// Index of RBP among them.
const RBP: usize = 8;
/// Maximum number of calls in a backtrace.
const DEEPEST: usize = 32;
/// Where Weir's own code begins: what the build script links it to.
const KERNEL: u64 = 0xffff_ffff_8000_0000;

macro_rules! say {
    ($($text:tt)*) => {
        // No other core moves lines out of the machine any more. The screen has to wait for `finish`.
        {
            output::log_line(|out| line(out, "PANIC", "weir", &format_args!($($text)*)));
            output::flush_serial();
        }
    };
}

/// Reports a Rust panic.
#[cfg(not(test))]
#[panic_handler]
fn rust_panic(info: &core::panic::PanicInfo) -> ! {
    let mut general = [0; GENERAL.len()];
    // SAFETY: writes an array of ours, in the order of `GENERAL`. Most values are those at the panic; the few
    // calls since then have changed some.
    unsafe {
        core::arch::asm!(
            "mov [rax], r15; mov [rax + 8], r14; mov [rax + 16], r13; mov [rax + 24], r12",
            "mov [rax + 32], r11; mov [rax + 40], r10; mov [rax + 48], r9; mov [rax + 56], r8",
            "mov [rax + 64], rbp; mov [rax + 72], rdi; mov [rax + 80], rsi; mov [rax + 88], rdx",
            "mov [rax + 96], rcx; mov [rax + 104], rbx; mov [rax + 112], rax",
            in("rax") general.as_mut_ptr(),
            options(nostack, preserves_flags)
        );
    }
    begin();
    // The location is always known today; the interface leaves it open.
    match info.location() {
        Some(at) => say!("panicked at {at}: {}", info.message()),
        None => say!("panicked: {}", info.message()),
    }
    say_registers(&general);
    finish(None, general[RBP])
}

/// Reports an exception in Weir's own code.
pub fn exception(frame: &InterruptFrame) -> ! {
    begin();
    say!("exception {} error {:#x} at {:#x}", frame.vector, frame.error, frame.rip);
    say_registers(&frame.general);
    say!("  rsp {:016x} rflags {:08x} cs {:04x} ss {:04x}", frame.rsp, frame.rflags, frame.cs, frame.ss);
    finish(Some(frame.rip), frame.general[RBP])
}

fn say_registers(general: &[u64; GENERAL.len()]) {
    for (names, values) in GENERAL.chunks(3).zip(general.chunks(3)) {
        say!(
            "  {:3} {:016x}  {:3} {:016x}  {:3} {:016x}",
            names[0],
            values[0],
            names[1],
            values[1],
            names[2],
            values[2]
        );
    }
    let cr2 = x86_64::registers::control::Cr2::read_raw();
    let (cr3, _) = x86_64::registers::control::Cr3::read_raw();
    say!("  cr2 {cr2:016x}  cr3 {:016x}", cr3.start_address().as_u64());
}

/// Stops the other cores and breaks the locks of the log.
fn begin() {
    x86_64::instructions::interrupts::disable();
    if !panicking::claim() {
        cpu::halt_forever(); // a panic while panicking: nothing more can be reported
    }
    local_apic::interrupt_others();
    // They need a moment to take the NMI: what they were writing is then whole or lost, but not mixed in.
    let start = cpu::rdtsc();
    while cpu::rdtsc() - start < clock::ticks(GRACE_NANOS) {}
    // SAFETY: interrupts are off, the other cores have stopped, and this path never returns to the code that held
    // the locks.
    unsafe { output::break_locks() }
}

fn finish(at: Option<u64>, frame: u64) -> ! {
    if let Some(check) = machine_check::unreported() {
        say!("{check}");
    }
    say!("backtrace: addr2line -fipe weir.elf{}", Backtrace { at, frame });
    // The most important part is out now, in case the rest fails.
    output::flush();
    say!("the end of the log:");
    tail::for_each_line(|text| say!("  {text}"));
    say!("the last exits:");
    history::for_each_recent(|text| say!("  {text}"));
    say!("stopped");
    output::flush();
    // Last, in case it fails: firmware must not wait for a driver.
    net::stop_nics();
    cpu::halt_forever()
}

/// The address where Weir stopped and the calls that led there, innermost first, as words of a command line.
struct Backtrace {
    /// The instruction that failed, where it is known.
    at: Option<u64>,
    /// Frame pointer there.
    frame: u64,
}

impl fmt::Display for Backtrace {
    /// Follows the chain of frame pointers as long as it looks like one.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(out, " {at:#x}")?;
        }
        let mut frame = self.frame;
        for _ in 0..DEEPEST {
            if frame < 0x1000 || !frame.is_multiple_of(8) {
                break;
            }
            // SAFETY: frame pointers of Weir's own code point into its stacks, and the loop ends where they do
            // not look like it. At worst a second fault halts us, after the registers have been printed.
            let (next, back) = unsafe {
                let frame = frame as *const u64;
                (frame.read_volatile(), frame.add(1).read_volatile())
            };
            if back < KERNEL {
                break;
            }
            // The call, not the instruction it returns to: that may belong to another line.
            write!(out, " {:#x}", back - 1)?;
            if next <= frame {
                break;
            }
            frame = next;
        }
        Ok(())
    }
}
