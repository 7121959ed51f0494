//! Weir's shell on the serial line: who has the keyboard, the line that is being typed, and what commands do.
//! What of it needs no hardware is the crate `shell`.

mod execute;
mod report;

use crate::log::{output, view};
use ::shell::{Editor, EditorEvent, Holder, Keyboard, Others, ShellCommand, Typed};
use alloc::string::String;
use alloc::vec::Vec;

pub use report::Machine;

/// What a typed byte comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is for this guest.
    Guest(usize, u8),
    /// It completes a command.
    Command(ShellCommand),
    /// The shell has worked on it.
    Done,
}

/// The operator's side of the serial line.
pub struct Shell {
    keyboard: Keyboard,
    editor: Editor,
    /// Names of the VMs, in their order.
    names: Vec<String>,
    /// All guests are shown, whoever has the keyboard.
    all: bool,
    machine: Machine,
}

impl Shell {
    /// A shell for VMs of these names, the first of which has the keyboard.
    pub fn new(names: Vec<String>, machine: Machine) -> Self {
        let first = names.first().map_or("nobody", String::as_str);
        log::info!("{first} has the keyboard; Ctrl-^ (Ctrl-6) leads to Weir's shell, where help tells more");
        Self { keyboard: Keyboard::new(0), editor: Editor::new(), names, all: true, machine }
    }

    /// Works on a typed byte.
    pub fn typed(&mut self, byte: u8) -> Input {
        match self.keyboard.typed(byte) {
            Typed::Guest(guest) => Input::Guest(guest, byte),
            Typed::Shell => self.edit(byte),
            Typed::ToShell => {
                view::show_shell(self.all);
                self.refresh();
                Input::Done
            }
            Typed::ToGuest { guest, through } => {
                self.give_keyboard(guest, Others::AsBefore);
                if through { Input::Guest(guest, byte) } else { Input::Done }
            }
        }
    }

    /// Draws the prompt where another line has taken its place.
    pub fn refresh(&self) {
        if self.keyboard.holder() == Holder::Shell && !output::at_prompt() {
            output::prompt(|out, _| {
                // Nothing here can fail but for want of room, which the output counts.
                let _ = self.editor.draw(out);
                ((), true)
            });
        }
    }

    fn edit(&mut self, byte: u8) -> Input {
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
            EditorEvent::Leave => self.give_keyboard(self.keyboard.guest(), Others::AsBefore),
            EditorEvent::Line => {
                let command = self.understand();
                self.editor.clear();
                match command {
                    Some(command) => return Input::Command(command),
                    None => self.refresh(),
                }
            }
        }
        Input::Done
    }

    /// The command that has been typed; what is no command is answered.
    fn understand(&self) -> Option<ShellCommand> {
        ::shell::parse(self.editor.text(), &self.names).unwrap_or_else(|mistake| {
            output::shell_line(format_args!("{mistake}"));
            None
        })
    }

    fn complete(&mut self) {
        let completion = ::shell::complete(self.editor.text(), &self.names);
        let mut text: heapless::String<{ ::shell::LINE }> = heapless::String::new();
        // Words of the language and names are shorter than a line.
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

    /// Gives a guest the keyboard, and shows it alone or with the others.
    fn give_keyboard(&mut self, guest: usize, others: Others) {
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
