//! The operator's side of the serial line: who has the keyboard, the line that is being typed, and the live view.

use crate::editor::LINE;
use crate::{
    Editor, EditorEvent, Holder, Keyboard, Names, Others, ShellCommand, Top, Typed, complete, parse,
};
use base::Instant;
use core::fmt::{self, Write};
use heapless::String;

/// The start of the escape sequence of a special key.
const ESC: u8 = 0x1b;

/// Where the shell writes.
pub trait ShellScreen {
    /// Writes a line of the shell.
    fn line(&self, text: fmt::Arguments<'_>);

    /// Lets the shell write on the line of its prompt: see [`crate::SerialOutput::prompt`].
    fn prompt<R>(&self, write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R;

    /// True when the cursor is on the line of the prompt.
    fn at_prompt(&self) -> bool;

    /// Shows this guest's output, and that of all others if `all`.
    fn show_guest(&self, guest: usize, all: bool);

    /// Gives the shell the line, and shows guests' output if `all`.
    fn show_shell(&self, all: bool);
}

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
pub struct CommandLine<S, N: 'static> {
    screen: S,
    keyboard: Keyboard,
    editor: Editor,
    names: Names<'static, N>,
    /// The consoles of all guests are shown, not only that of the guest that has the keyboard.
    all: bool,
    top: &'static mut Top,
}

impl<S: ShellScreen, N: AsRef<str>> CommandLine<S, N> {
    /// One of which `first` has the keyboard; the shell itself if there is no such guest.
    pub fn new(screen: S, names: Names<'static, N>, first: Option<usize>, top: &'static mut Top) -> Self {
        match first {
            Some(first) => screen.show_guest(first, true),
            None => screen.show_shell(true),
        }
        Self { screen, keyboard: Keyboard::new(first), editor: Editor::new(), names, all: true, top }
    }

    /// The guest that has the keyboard, or had it last.
    pub fn guest(&self) -> Option<usize> {
        self.keyboard.guest()
    }

    /// Handles a typed byte.
    pub fn typed(&mut self, byte: u8) -> ShellInput {
        match self.keyboard.typed(byte) {
            Typed::Guest(guest) => ShellInput::Guest(guest, byte),
            // The rest of a special key's sequence is not text.
            Typed::Shell if self.end_top() && byte != ESC => {
                self.refresh();
                ShellInput::Done
            }
            Typed::Shell => self.edit(byte),
            Typed::ToShell => {
                self.end_top();
                self.screen.show_shell(self.all);
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
        let shown = self.top.due().is_none() && self.keyboard.holder() == Holder::Shell;
        if shown && !self.screen.at_prompt() {
            self.screen.prompt(|out, _| {
                // This can only fail for lack of room, which the output counts.
                let _ = self.editor.draw(out);
                ((), true)
            });
        }
    }

    /// Shows the live view from now on.
    pub fn show_top(&mut self, plain: bool, now: Instant) {
        self.top.show(plain, now);
    }

    /// When [`draw_top`](Self::draw_top) is due, if the live view is shown.
    pub fn top_due(&self) -> Option<Instant> {
        self.top.due()
    }

    /// Draws the live view, which `fill` fills with rows, when it is time.
    pub fn draw_top(&mut self, now: Instant, fill: impl FnOnce(&mut Top)) {
        if self.top.due().is_none_or(|due| now < due) {
            return;
        }
        self.top.begin(now);
        fill(self.top);
        let top = &mut *self.top;
        if top.is_plain() {
            top.lines().for_each(|line| self.screen.line(format_args!("{line}")));
            self.screen.line(format_args!("{}", top.last()));
        } else {
            // As in `refresh`.
            self.screen.prompt(|out, drawn| (_ = top.draw(out, drawn), true));
        }
    }

    /// Ends the live view, and the line that it has left open; false if it was not shown.
    fn end_top(&mut self) -> bool {
        let shown = self.top.hide();
        if shown && self.screen.at_prompt() {
            self.screen.prompt(|out, _| (_ = out.write_str("\n"), false));
        }
        shown
    }

    fn edit(&mut self, byte: u8) -> ShellInput {
        let editor = &mut self.editor;
        let event = self.screen.prompt(|out, drawn| {
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
        parse(self.editor.text(), self.names).unwrap_or_else(|error| {
            self.screen.line(format_args!("{error}"));
            None
        })
    }

    fn complete(&mut self) {
        let completion = complete(self.editor.text(), self.names);
        let mut text: String<LINE> = String::new();
        // Words of the command language and names are shorter than a line.
        let _ = text.push_str(completion.common);
        match completion.count {
            0 => return,
            1 => {
                let _ = text.push(' ');
            }
            _ if text.is_empty() => self.screen.line(format_args!("{completion}")),
            _ => {}
        }
        self.refresh();
        let editor = &mut self.editor;
        self.screen.prompt(|out, _| {
            let _ = editor.insert(&text, out);
            ((), true)
        });
    }

    /// Gives a guest the keyboard, and shows its console alone or with the others.
    pub fn give_keyboard(&mut self, guest: usize, others: Others) {
        match others {
            Others::AsBefore => {}
            Others::Kept => self.all = false,
            Others::Shown => self.all = true,
        }
        self.end_top();
        self.editor.clear();
        self.keyboard.give(guest);
        self.screen.show_guest(guest, self.all);
    }
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;
