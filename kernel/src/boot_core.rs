//! What the boot core does besides running guests: the serial line, the shell, and the end of Weir.

use crate::hardware::interrupt::{local_apic, pending, vectors};
use crate::log::{output, serial, view};
use crate::meeting::directory;
use crate::meeting::ending::{self, End};
use crate::net::{self, Network};
use crate::processor::{clock, cores};
use crate::scheduler::{Duties, Scheduler};
use crate::shell::Shell;
use crate::usage;
use crate::virt::VirtualCpu;
use crate::vm::Vm;
use alloc::vec::Vec;
use base::{Duration, Instant};
use shell::ShellInput;

/// How often the serial port is fed while output waits, and polled for typed bytes: its FIFO of 16 bytes lasts 1.4 ms.
const FEED: Duration = Duration::from_millis(1);
/// For how long the screen is painted each time, and a port fed that takes all at once, as an emulated one does: a tenth
/// of the time each, at the expense of all of the core's guests.
const FEEDING: Duration = Duration::from_micros(100);
/// Typed bytes that are taken at a time.
const TYPED: usize = 16;
/// How long the boot core waits for the others to end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The boot core's duties.
struct BootCore {
    shell: Shell,
    /// How the operator wants Weir to end.
    end: Option<End>,
    next_feed: Instant,
    /// Typed bytes may have been left in the port.
    typed: bool,
}

impl<V: VirtualCpu> Duties<V> for BootCore {
    /// Takes typed bytes when the serial port has interrupted. The port is polled as well: its interrupt is an
    /// edge, and a lost one would not come again.
    ///
    /// Moves output on, of all cores: a screen is slow, and the other cores' guests need not wait for it.
    fn attend(&mut self, vms: &mut [Vm<V>], now: Instant) -> Duration {
        let feed = now >= self.next_feed;
        let typed = pending::take(vectors::SERIAL_VECTOR) || feed && serial::waiting();
        if !feed && !typed {
            return Duration::ZERO;
        }
        let begin = clock::now();
        self.typed = typed && self.take_input(vms, now);
        // The prompt is drawn again, but not while output waits: it would be drawn again and again.
        if feed && !output::pump(FEEDING) {
            self.shell.refresh(now);
        }
        let end = clock::now();
        if feed {
            self.next_feed = end + FEED;
        }
        end - begin
    }

    fn next_deadline(&self) -> Option<Instant> {
        let view = self.shell.next_deadline().map(|due| due.max(self.next_feed));
        if self.typed || output::waiting() { Some(self.next_feed) } else { view }
    }

    fn is_over(&self) -> bool {
        self.end.is_some() || directory::all_ended()
    }
}

impl BootCore {
    /// Returns true if more may have been typed.
    fn take_input<V: VirtualCpu>(&mut self, vms: &mut [Vm<V>], now: Instant) -> bool {
        let before = view::current();
        let mut left = TYPED;
        while left > 0
            && let Some(byte) = serial::receive()
        {
            left -= 1;
            match self.shell.typed(byte) {
                ShellInput::Guest(guest, byte) => type_byte(guest, byte),
                ShellInput::Command(command) => {
                    let mut answer = |vm| await_answer(vms, vm, now);
                    self.end = self.shell.execute(command, now, &mut answer).or(self.end);
                }
                ShellInput::Done => {}
            }
        }
        if view::current() != before {
            // They must start or stop showing their guests' consoles.
            cores::others().for_each(local_apic::wake);
        }
        left == 0
    }
}

/// Types a byte at a guest's console, and tells the operator if what is typed is lost.
fn type_byte(guest: usize, byte: u8) {
    let name = directory::summary(guest).map_or("", |vm| vm.name);
    directory::type_byte(guest, byte).tell(name, &mut output::shell_line);
}

/// Waits until a request to a VM has been handled: by this core if it runs the VM, else by the VM's core, if that takes no time.
fn await_answer<V: VirtualCpu>(vms: &mut [Vm<V>], number: usize, now: Instant) -> bool {
    match vms.iter_mut().find(|here| here.number() == number) {
        Some(here) => {
            here.attend(now);
            true
        }
        None => directory::await_answer(number, now),
    }
}

/// Runs the boot core's guests until every guest has ended for good, or the operator ends Weir.
pub fn run<V: VirtualCpu>(vms: Vec<Vm<V>>, network: &'static Network, shell: Shell) -> End {
    output::when_waiting(|| {
        if cores::current() != cores::BOOT_CORE {
            local_apic::wake(cores::BOOT_CORE);
        }
    });
    let mut boot_core = BootCore { shell, end: None, next_feed: Instant::ZERO, typed: false };
    let mut scheduler = Scheduler::new(vms, network, &mut boot_core);
    scheduler.run();
    // Make room for the lines that follow.
    output::flush();
    scheduler.log_statistics();
    end_others();
    network.log_statistics();
    usage::log_statistics();
    let end = boot_core.end.unwrap_or(End::AllStopped);
    match end {
        End::AllStopped => log::info!("all guests stopped, powering off"),
        End::PowerOff => log::info!("powering off (operator request)"),
        End::Reboot => log::info!("resetting (operator request)"),
    }
    net::stop_nics();
    end
}

/// Ends the other cores, which log what their guests have cost.
fn end_others() {
    ending::begin();
    cores::others().for_each(local_apic::wake);
    let until = clock::now() + END_TIMEOUT;
    while ending::followed() < cores::others().len() && clock::now() < until {
        output::pump(Duration::ZERO);
    }
}
