//! A guest's console: how the crate `shell`'s [`Console`](shell::Console) meets the guest's UART and the serial line.

use super::machine::{Identity, Vm};
use super::statistics::caused;
use crate::log::{output, view};
use crate::meeting::directory;
use crate::virt::VirtualCpu;
use base::{Effects, Instant};
use shell::{LineEnd, SharedLine, View, VmState};

impl SharedLine for Identity {
    fn view(&self) -> View {
        view::current()
    }

    fn guest(&self) -> usize {
        self.number
    }

    fn show(&self, text: impl Iterator<Item = u8>, length: usize, end: LineEnd) -> bool {
        output::console(self.number, &self.name, text, length, end)
    }

    fn tell_loss(&self, bytes: u64) {
        output::shell_line(format_args!("{}: {bytes} more bytes of output were not kept", self.name));
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// Shows an unfinished line that has waited long enough.
    pub(super) fn advance_console(&mut self, now: Instant) {
        if self.console.next_deadline(&self.identity).is_some_and(|due| due <= now) {
            let exits = (self.state() == VmState::Running).then(|| caused(&self.vcpu.statistics));
            self.console.advance(&self.identity, now, exits);
        }
    }

    /// Takes the guest's output from its UART and shows it.
    pub(super) fn show_console(&mut self, now: Instant) {
        if !self.console.is_due(&self.identity) {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        let exits = caused(&self.vcpu.statistics);
        self.console.show_all(&self.identity, now, exits, |bytes| {
            let (count, effects) = pc.take_console(bytes);
            changed |= effects;
            count
        });
        self.effects |= changed;
    }

    /// Keeps what the guest has written before its UART is reset.
    pub(super) fn keep_console(&mut self) {
        let pc = &mut self.pc;
        self.console.take_rest(&self.identity, |bytes| pc.take_console(bytes).0);
    }

    /// Passes typed bytes to the guest's UART as far as it has room.
    pub(super) fn pass_typed(&mut self, now: Instant) {
        if !self.console.has_typed() {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        let left = directory::pass_typed(self.identity.number, |byte| {
            let (taken, effects) = pc.give_console(byte, now);
            changed |= effects;
            taken
        });
        self.console.note_typed(left);
        self.apply(changed);
    }
}
