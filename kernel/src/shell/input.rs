//! Input from the serial line: which of shell and guests has the keyboard, and the line that is being typed.

use super::MachineSummary;
use crate::log::{output, view};
use ::shell::{Editor, EditorEvent, Holder, Keyboard, Others, ShellCommand, Typed};
use alloc::string::String;
use alloc::vec::Vec;

/// The meaning of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellInput {
    /// It is for this guest.
    Guest(usize, u8),
    /// It completes a command.
    Command(ShellCommand),
    /// The shell has handled it.
    Done,
}

/// The operator's side of the serial line.
pub struct Shell {
    pub(super) keyboard: Keyboard,
    editor: Editor,
    /// Names of the VMs, in the order of their numbers.
    names: Vec<String>,
    /// The consoles of all guests are shown, not only that of the guest that has the keyboard.
    all: bool,
    pub(super) machine: MachineSummary,
}

impl Shell {
    /// A shell for VMs with these names, of which `first` has the keyboard; the shell itself if there is none.
    pub fn new(names: Vec<String>, first: Option<usize>, machine: MachineSummary) -> Self {
        match first.and_then(|first| Some((first, names.get(first)?))) {
            Some((first, name)) => {
                log::info!(
                    "{name} has the keyboard; Ctrl-^ (Ctrl-6) opens Weir's shell, where help lists the commands"
                );
                view::show_guest(first, true);
            }
            None => {
                log::error!("no guest can be used: vm list says why, help lists the commands");
                view::show_shell(true);
            }
        }
        Self { keyboard: Keyboard::new(first), editor: Editor::new(), names, all: true, machine }
    }

    /// Handles a typed byte.
    pub fn typed(&mut self, byte: u8) -> ShellInput {
        match self.keyboard.typed(byte) {
            Typed::Guest(guest) => ShellInput::Guest(guest, byte),
            Typed::Shell => self.edit(byte),
            Typed::ToShell => {
                view::show_shell(self.all);
                self.refresh();
                ShellInput::Done
            }
            Typed::ToGuest { guest, through } => {
                self.give_keyboard(guest, Others::AsBefore);
                if through { ShellInput::Guest(guest, byte) } else { ShellInput::Done }
            }
        }
    }

    /// Draws the prompt again if another line has replaced it.
    pub fn refresh(&self) {
        if self.keyboard.holder() == Holder::Shell && !output::at_prompt() {
            output::prompt(|out, _| {
                // This can only fail for lack of room, which the output counts.
                let _ = self.editor.draw(out);
                ((), true)
            });
        }
    }

    fn edit(&mut self, byte: u8) -> ShellInput {
        let editor = &mut self.editor;
        let event = output::prompt(|out, drawn| {
            if !drawn {
                let _ = editor.draw(out);
            }
            // As in `refresh`.
            let event = editor.typed(byte, out).unwrap_or(EditorEvent::Edited);
            (event, matches!(event, EditorEvent::Edited | EditorEvent::Complete))
        });
        match event {
            EditorEvent::Edited => {}
            EditorEvent::Complete => self.complete(),
            EditorEvent::GivenUp => self.refresh(),
            EditorEvent::Leave => match self.keyboard.guest() {
                Some(guest) => self.give_keyboard(guest, Others::AsBefore),
                None => self.refresh(),
            },
            EditorEvent::Line => {
                let command = self.understand();
                self.editor.clear();
                match command {
                    Some(command) => return ShellInput::Command(command),
                    None => self.refresh(),
                }
            }
        }
        ShellInput::Done
    }

    /// Parses the typed line, and prints the error if there is one.
    fn understand(&self) -> Option<ShellCommand> {
        ::shell::parse(self.editor.text(), &self.names).unwrap_or_else(|error| {
            output::shell_line(format_args!("{error}"));
            None
        })
    }

    fn complete(&mut self) {
        let completion = ::shell::complete(self.editor.text(), &self.names);
        let mut text: heapless::String<{ ::shell::LINE }> = heapless::String::new();
        // Words of the command language and names are shorter than a line.
        let _ = text.push_str(completion.common);
        match completion.count {
            0 => return,
            1 => {
                let _ = text.push(' ');
            }
            _ if text.is_empty() => output::shell_line(format_args!("{completion}")),
            _ => {}
        }
        self.refresh();
        let editor = &mut self.editor;
        output::prompt(|out, _| {
            let _ = editor.insert(&text, out);
            ((), true)
        });
    }

    /// Gives a guest the keyboard, and shows its console alone or with the others.
    pub(super) fn give_keyboard(&mut self, guest: usize, others: Others) {
        match others {
            Others::AsBefore => {}
            Others::Kept => self.all = false,
            Others::Shown => self.all = true,
        }
        self.editor.clear();
        self.keyboard.give(guest);
        view::show_guest(guest, self.all);
    }
}
