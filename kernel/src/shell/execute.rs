//! What each command does.

use super::report;
use crate::log::{output, tail};
use crate::scheduler::{End, Scheduler};
use crate::virt::VirtualCpu;
use crate::vm::directory;
use ::shell::{Command, Others, VmAction};
use base::Instant;

macro_rules! say {
    ($($text:tt)*) => { output::shell_line(format_args!($($text)*)) };
}

pub(super) use say;

impl<V: VirtualCpu> Scheduler<V> {
    /// Does what the operator asks for, and answers.
    pub fn execute(&mut self, command: Command, now: Instant) {
        match command {
            Command::Help => help(),
            Command::VmList => report::vms(self.shell.keyboard.guest()),
            Command::Vm { action, vm } => self.change(action, vm, now),
            Command::Console { vm, others } => self.console(vm, others),
            Command::NetNics => report::nics(&self.network),
            Command::NetVms => report::vnics(&self.vms, &self.network),
            Command::Stats { vm: None } => report::machine(&self.shell.machine, now),
            Command::Stats { vm: Some(vm) } => report::vm(&self.vms[vm], &self.network, vm),
            Command::Log => tail::for_each_line(|line| say!("{line}")),
            Command::Reboot => self.end = Some(End::Reboot),
            Command::PowerOff => self.end = Some(End::PowerOff),
        }
        if self.end.is_none() {
            self.shell.refresh();
        }
    }

    fn change(&mut self, action: VmAction, vm: usize, now: Instant) {
        let result = directory::change(vm, action).map(|()| self.await_answer(vm, now));
        let Some(known) = directory::summary(vm) else { return };
        match result {
            Ok(()) => say!("{}: {}", known.name, known.state),
            Err(refusal) => say!("{}: no {action}: {refusal}", known.name),
        }
    }

    fn console(&mut self, vm: Option<usize>, others: Others) {
        let guest = vm.unwrap_or(self.shell.keyboard.guest());
        let Some(vm) = self.vms.get(guest) else { return };
        say!("{} ({}) has the keyboard; Ctrl-^ leads back here", vm.name(), vm.state());
        self.shell.give_keyboard(guest, others);
    }
}

fn help() {
    ::shell::help().for_each(|line| say!("{line}"));
    say!(
        "Ctrl-^ (Ctrl-6) leads from a guest's console to this shell and back; typed twice, it goes to the guest."
    );
    say!("Tab completes words; arrows up and down recall lines; Ctrl-U, Ctrl-W and Ctrl-C give them up.");
}
