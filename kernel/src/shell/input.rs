//! The serial line as the shell uses it.

use super::MachineSummary;
use crate::log::{output, view};
use crate::net::Network;
use ::shell::{CommandLine, Names, ShellInput, ShellScreen, Top};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use base::Instant;
use core::fmt::{self, Write};

/// The serial line, with the view of all cores.
pub(super) struct SharedScreen;

impl ShellScreen for SharedScreen {
    fn line(&self, text: fmt::Arguments<'_>) {
        output::shell_line(text);
    }

    fn prompt<R>(&self, write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
        output::prompt(write)
    }

    fn at_prompt(&self) -> bool {
        output::at_prompt()
    }

    fn show_guest(&self, guest: usize, all: bool) {
        view::show_guest(guest, all);
    }

    fn show_shell(&self, all: bool) {
        view::show_shell(all);
    }
}

/// The operator's side of the serial line.
pub struct Shell {
    pub(super) line: CommandLine<SharedScreen, String>,
    pub(super) machine: MachineSummary,
    pub(super) network: &'static Network,
}

impl Shell {
    /// A shell for VMs with these names, of which `first` has the keyboard; the shell itself if there is none.
    pub fn new(
        vms: Vec<String>,
        first: Option<usize>,
        machine: MachineSummary,
        network: &'static Network,
    ) -> Self {
        let (teams, nics) = network.names();
        let names = Names { vms: vms.leak(), teams: teams.leak(), nics: nics.leak() };
        match first.and_then(|first| names.vms.get(first)) {
            Some(name) => log::info!(
                "{name} has the keyboard; Ctrl-^ (Ctrl-6) opens Weir's shell, where help lists the commands"
            ),
            None => log::error!("no guest can be used: vm list says why, help lists the commands"),
        }
        let line = CommandLine::new(SharedScreen, names, first, Box::leak(Box::default()));
        Self { line, machine, network }
    }

    /// Handles a typed byte.
    pub fn typed(&mut self, byte: u8) -> ShellInput {
        self.line.typed(byte)
    }

    /// Draws the live view if it is due, or the prompt again if another line has replaced it.
    pub fn refresh(&mut self, now: Instant) {
        let network = self.network;
        self.line.draw_top(now, |top: &mut Top| {
            network.for_each_nic(|row| top.nic(row));
            top.begin_vnics();
            network.for_each_vnic(|row| top.vnic(row));
        });
        self.line.refresh();
    }

    /// When [`refresh`](Self::refresh) is due, whatever happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.line.top_due()
    }
}
