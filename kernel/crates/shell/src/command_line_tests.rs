extern crate std;

use super::*;
use crate::{ESCAPE, SerialOutput, SerialPort, TeamCommand};
use nic_manager::TeamPolicy;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::string::String as Text;
use std::vec::Vec;

#[derive(Default)]
struct Terminal(Vec<u8>);

impl SerialPort for Terminal {
    fn send(&mut self, bytes: &[u8]) -> usize {
        self.0.extend(bytes);
        bytes.len()
    }

    fn write_loss(_: u64, _: &mut dyn Write) -> fmt::Result {
        Ok(())
    }
}

/// A terminal behind the queue of the serial line.
struct FakeScreen {
    output: RefCell<SerialOutput<Terminal, 16384>>,
    shows: Cell<Option<usize>>,
}

impl ShellScreen for &FakeScreen {
    fn line(&self, text: fmt::Arguments<'_>) {
        self.output.borrow_mut().shell_line(text);
    }

    fn prompt<R>(&self, write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
        self.output.borrow_mut().prompt(write)
    }

    fn at_prompt(&self) -> bool {
        self.output.borrow().at_prompt()
    }

    fn show_guest(&self, guest: usize, _: bool) {
        self.shows.set(Some(guest));
    }

    fn show_shell(&self, _: bool) {
        self.shows.set(None);
    }
}

impl FakeScreen {
    fn new() -> &'static Self {
        let output = RefCell::new(SerialOutput::new(Terminal::default()));
        Box::leak(Box::new(Self { output, shows: Cell::new(None) }))
    }

    /// What it shows since the last call.
    fn taken(&self) -> Text {
        let mut sent = Vec::new();
        let mut output = self.output.borrow_mut();
        output.pump(|| true);
        output.with_port(|port| sent.append(&mut port.0));
        Text::from_utf8(sent).unwrap()
    }
}

fn line(screen: &'static FakeScreen) -> CommandLine<&'static FakeScreen, &'static str> {
    let names = Names { vms: &["web", "db"], teams: &["lan"], nics: &["nic0", "nic1"] };
    CommandLine::new(screen, names, Some(0), Box::leak(Box::default()))
}

fn type_text(line: &mut CommandLine<&'static FakeScreen, &'static str>, text: &str) -> ShellInput {
    text.bytes().map(|byte| line.typed(byte)).last().unwrap()
}

#[test]
fn typed_bytes_reach_the_guest_or_make_a_command() {
    let screen = FakeScreen::new();
    let mut line = line(screen);
    assert_eq!((line.typed(b'x'), screen.shows.get()), (ShellInput::Guest(0, b'x'), Some(0)));
    assert_eq!((line.typed(ESCAPE), screen.shows.get()), (ShellInput::Done, None));
    let command = TeamCommand::Policy { team: 0, policy: TeamPolicy::Load };
    assert_eq!(type_text(&mut line, "net pol\tl\tlo\t\r"), ShellInput::Command(ShellCommand::Team(command)));
    assert_eq!(screen.taken(), "weir> net policy lan load \r\n");
    assert_eq!(type_text(&mut line, "net team wan\r"), ShellInput::Done);
    assert!(screen.taken().ends_with("weir| unknown word \"wan\": expected lan\r\nweir> "));
    assert_eq!((type_text(&mut line, "\x04"), screen.shows.get()), (ShellInput::Done, Some(0)));
}

#[test]
fn the_live_view_is_drawn_in_place_until_a_key_is_pressed() {
    let screen = FakeScreen::new();
    let mut line = line(screen);
    line.typed(ESCAPE);
    line.show_top(false, Instant(7));
    screen.taken();
    assert_eq!(line.top_due(), Some(Instant(7)));
    line.draw_top(Instant(6), |_| panic!("it is not due"));
    for second in 1..3 {
        line.draw_top(line.top_due().unwrap(), |top| top.begin_vnics());
        line.refresh();
        let shown = screen.taken();
        assert_eq!(shown.contains("\x1b[2A\x1b[J"), second == 2, "{shown}");
        assert!(shown.ends_with("weir| any key ends this") && !shown.contains("weir> "), "{shown}");
    }
    screen.output.borrow_mut().line(|out| out.write_str("a log line"));
    line.draw_top(line.top_due().unwrap(), |_| {});
    let shown = screen.taken();
    assert!(shown.starts_with("\r\na log line\r\nweir| NIC ") && !shown.contains('\x1b'), "{shown}");
    // A special key leaves nothing on the command line.
    assert_eq!(type_text(&mut line, "\x1b[C"), ShellInput::Done);
    assert_eq!((line.top_due(), screen.taken().as_str()), (None, "\r\nweir> "));
}

#[test]
fn the_plain_live_view_is_lines_of_the_shell() {
    let screen = FakeScreen::new();
    let mut line = line(screen);
    line.typed(ESCAPE);
    screen.taken();
    line.show_top(true, Instant(0));
    (0..2).for_each(|second| line.draw_top(Instant(second * 1_000_000_000), |_| {}));
    let shown = screen.taken();
    assert!(!shown.contains('\x1b') && shown.matches("weir| NIC ").count() == 2, "{shown}");
    assert_eq!(line.typed(b'q'), ShellInput::Done);
    assert_eq!(screen.taken(), "weir> ");
    line.show_top(true, Instant(0));
    assert_eq!((line.typed(ESCAPE), line.top_due()), (ShellInput::Done, None), "its guest has the keyboard");
}
