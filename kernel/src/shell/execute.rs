//! What each command does.

use super::{Shell, report};
use crate::log::{output, tail};
use crate::scheduler::{End, Scheduler};
use crate::virt::VirtualCpu;
use crate::vm::directory::{self, Request};
use ::shell::{Others, ShellCommand, VmAction};
use base::Instant;

macro_rules! say {
    ($($text:tt)*) => { output::shell_line(format_args!($($text)*)) };
}

pub(super) use say;

impl Shell {
    /// Does what the operator asks for, and answers. When it ends Weir, returns how.
    pub fn execute<V: VirtualCpu>(
        &mut self,
        command: ShellCommand,
        scheduler: &mut Scheduler<V>,
        now: Instant,
    ) -> Option<End> {
        let mut end = None;
        match command {
            ShellCommand::Help => help(),
            ShellCommand::VmList => report::vms(self.keyboard.guest()),
            ShellCommand::Vm { action, vm } => change(scheduler, action, vm, now),
            ShellCommand::Console { vm, others } => self.console(vm, others),
            ShellCommand::NetNics => report::nics(scheduler.network()),
            ShellCommand::NetVms => report::vnics(scheduler.network()),
            ShellCommand::Stats { vm: None } => report::machine(&self.machine, now),
            ShellCommand::Stats { vm: Some(vm) } => figures(scheduler, vm, now),
            ShellCommand::Log => tail::for_each_line(|line| say!("{line}")),
            ShellCommand::Reboot => end = Some(End::Reboot),
            ShellCommand::PowerOff => end = Some(End::PowerOff),
        }
        if end.is_none() {
            self.refresh();
        }
        end
    }

    fn console(&mut self, vm: Option<usize>, others: Others) {
        let guest = vm.unwrap_or(self.keyboard.guest());
        let Some(vm) = directory::summary(guest) else { return };
        say!("{} ({}) has the keyboard; Ctrl-^ leads back here", vm.name, vm.state);
        self.give_keyboard(guest, others);
    }
}

fn change<V: VirtualCpu>(scheduler: &mut Scheduler<V>, action: VmAction, vm: usize, now: Instant) {
    let result = directory::change(vm, action).map(|()| scheduler.await_answer(vm, now));
    let Some(known) = directory::summary(vm) else { return };
    match result {
        Ok(()) => say!("{}: {}", known.name, known.state),
        Err(refusal) => say!("{}: no {action}: {refusal}", known.name),
    }
}

fn figures<V: VirtualCpu>(scheduler: &mut Scheduler<V>, vm: usize, now: Instant) {
    match directory::ask(vm, Request::Figures) {
        Ok(()) => scheduler.await_answer(vm, now),
        Err(refusal) => say!("no figures of the VM: {refusal}"),
    }
    report::vnic_figures(scheduler.network(), vm);
}

fn help() {
    ::shell::help().for_each(|line| say!("{line}"));
    say!(
        "Ctrl-^ (Ctrl-6) leads from a guest's console to this shell and back; typed twice, it goes to the guest."
    );
    say!("Tab completes words; arrows up and down recall lines; Ctrl-U, Ctrl-W and Ctrl-C give them up.");
}
