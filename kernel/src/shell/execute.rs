//! What each command does.

use super::say::say;
use super::{Shell, report};
use crate::log::{output, tail};
use crate::meeting::directory::{self, Request};
use crate::meeting::ending::End;
use crate::net::Network;
use ::shell::{Others, ShellCommand, VmAction, VmState};
use base::Instant;

/// Waits until the core of the VM with this number has handled a request; false if that takes long.
type Await<'a> = &'a mut dyn FnMut(usize) -> bool;

impl Shell {
    /// Executes the operator's command and prints its output. Returns how Weir ends, if the command ends it.
    pub fn execute(&mut self, command: ShellCommand, now: Instant, answer: Await<'_>) -> Option<End> {
        let mut end = None;
        match command {
            ShellCommand::Help => ::shell::help(&mut output::shell_line),
            ShellCommand::VmList => report::vms(self.line.guest()),
            ShellCommand::VmStatus { vm } => report::vm(vm),
            ShellCommand::Vm { action, vm } => change(action, vm, answer),
            ShellCommand::Console { vm, others } => self.console(vm, others),
            ShellCommand::NetNics => report::nics(self.network),
            ShellCommand::NetVms => report::vnics(self.network),
            ShellCommand::Team(command) => {
                ::shell::answer(self.network, command, now, &mut output::shell_line)
            }
            ShellCommand::NetTop { plain } => self.line.show_top(plain, now),
            ShellCommand::Stats { vm: None } => report::machine(&self.machine, now),
            ShellCommand::Stats { vm: Some(vm) } => statistics(self.network, vm, answer),
            ShellCommand::Log => tail::for_each_line(|line| say!("{line}")),
            ShellCommand::Reboot => end = Some(End::Reboot),
            ShellCommand::PowerOff => end = Some(End::PowerOff),
        }
        if end.is_none() {
            self.refresh(now);
        }
        end
    }

    fn console(&mut self, vm: Option<usize>, others: Others) {
        let Some(guest) = vm.or(self.line.guest()) else {
            say!("no guest can be used");
            return;
        };
        let Some(vm) = directory::summary(guest) else { return };
        if vm.state == VmState::Unusable {
            say!("{}: no console: it is unusable: {}", vm.name, directory::reason(guest));
            return;
        }
        say!("{} ({}) has the keyboard; Ctrl-^ returns here", vm.name, vm.state);
        self.line.give_keyboard(guest, others);
    }
}

fn change(action: VmAction, vm: usize, answer: Await<'_>) {
    let result = directory::change(vm, action).map(|()| answer(vm));
    let Some(known) = directory::summary(vm) else { return };
    known.tell_outcome(action, result, &directory::reason(vm), &mut output::shell_line);
}

fn statistics(network: &Network, vm: usize, answer: Await<'_>) {
    match directory::ask(vm, Request::Statistics) {
        Ok(()) if answer(vm) => {}
        Ok(()) => say!("no statistics of the VM: its core has not answered"),
        Err(refusal) => say!("no statistics of the VM: {refusal}"),
    }
    report::vnic_statistics(network, vm);
}
