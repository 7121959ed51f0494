//! The editor on a terminal that understands printable characters, backspace, bell and line feed.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::string::String as StdString;
use std::vec::Vec;

/// The lines of a terminal: backspace moves left, characters overwrite.
#[derive(Default)]
struct Terminal {
    above: Vec<StdString>,
    line: Vec<char>,
    column: usize,
}

impl Write for Terminal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\n' => {
                    self.above.push(self.line.drain(..).collect());
                    self.column = 0;
                }
                '\x08' => self.column = self.column.checked_sub(1).expect("left of the first column"),
                '\x07' => {}
                ' '..='~' => {
                    self.line.truncate(self.column.max(self.line.len().min(self.column + 1)));
                    if self.column < self.line.len() {
                        self.line[self.column] = character;
                    } else {
                        self.line.push(character);
                    }
                    self.column += 1;
                }
                other => panic!("the editor wrote {other:?}"),
            }
        }
        Ok(())
    }
}

impl Terminal {
    /// The text left of the cursor.
    fn text(&self) -> StdString {
        self.line[..self.column].iter().collect()
    }
}

fn type_all(editor: &mut Editor, terminal: &mut Terminal, bytes: &[u8]) -> Vec<(EditorEvent, StdString)> {
    let mut events = Vec::new();
    for &byte in bytes {
        let event = editor.typed(byte, terminal).unwrap();
        if event != EditorEvent::Edited {
            events.push((event, editor.text().into()));
        }
        if matches!(event, EditorEvent::Line | EditorEvent::GivenUp | EditorEvent::Leave) {
            editor.clear();
        }
    }
    events
}

fn lines(bytes: &[u8]) -> Vec<StdString> {
    let events = type_all(&mut Editor::new(), &mut Terminal::default(), bytes);
    events.into_iter().filter(|(event, _)| *event == EditorEvent::Line).map(|(_, line)| line).collect()
}

#[test]
fn each_kind_of_line_end_ends_a_line_once() {
    assert_eq!(lines(b"one\rtwo\nthree\r\nfour\r\r"), ["one", "two", "three", "four", ""]);
}

#[test]
fn backspace_delete_and_kill_keys_erase() {
    assert_eq!(lines(b"vm lits\x7f\x08st\r"), ["vm list"]);
    assert_eq!(lines(b"\x7f\x7fa\r"), ["a"]);
    assert_eq!(lines(b"vm stop\x15log\r"), ["log"]);
    assert_eq!(lines(b"vm stop web  \x17db\r"), ["vm stop db"]);
    assert_eq!(lines(b"word\x17\x17x\r"), ["x"]);
}

#[test]
fn interrupt_discards_the_line() {
    let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
    let events = type_all(&mut editor, &mut terminal, b"vm stop\x03log\r");
    assert_eq!(events, [(EditorEvent::GivenUp, StdString::new()), (EditorEvent::Line, "log".into())]);
    assert_eq!(terminal.above, ["vm stop^C", "log"]);
}

#[test]
fn end_of_input_leaves_the_shell_only_on_an_empty_line() {
    let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
    assert_eq!(type_all(&mut editor, &mut terminal, b"x\x04"), []);
    assert_eq!(type_all(&mut editor, &mut terminal, b"\x7f\x04"), [(EditorEvent::Leave, StdString::new())]);
}

#[test]
fn arrows_move_through_the_history() {
    assert_eq!(lines(b"one\rtwo\r\x1b[A\x1b[A\r"), ["one", "two", "one"]);
    assert_eq!(lines(b"one\rtwo\r\x1bOA\x1bOA\x1bOB!\r"), ["one", "two", "two!"]);
    assert_eq!(lines(b"one\rx\x1b[A\x1b[B\r"), ["one", ""]);
    assert_eq!(lines(b"\x1b[A\x1b[Blog\r"), ["log"]);
}

#[test]
fn other_special_keys_are_ignored() {
    assert_eq!(
        lines(b"\x1bP1$r0m\x1b\\log\x1b]11;rgb:00/00/00\x07 x\r"),
        ["log x"],
        "answers of the terminal"
    );
    assert_eq!(lines(b"a\x1bb\x1bP lost\rc\r"), ["ab", "c"], "Alt with a key; Enter ends a string");
    assert_eq!(lines(b"a\x1b[3~b\x1b[1;5Cc\x1b[Dd\x1bOPe\x00\x01\x1f\xc3\xa4\r"), ["abcde"]);
}

#[test]
fn tab_asks_for_completion() {
    let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
    assert_eq!(type_all(&mut editor, &mut terminal, b"he\t"), [(EditorEvent::Complete, "he".into())]);
    editor.insert("lp ", &mut terminal).unwrap();
    assert_eq!((editor.text(), terminal.text()), ("help ", "help ".into()));
}

#[test]
fn a_line_has_a_maximum_length() {
    let long = [b'x'; LINE + 20];
    let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
    type_all(&mut editor, &mut terminal, &long);
    assert_eq!(editor.text().len(), LINE);
    assert_eq!(terminal.text().len(), LINE);
}

#[test]
fn the_prompt_is_drawn_with_the_line() {
    let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
    type_all(&mut editor, &mut Terminal::default(), b"vm li");
    editor.draw(&mut terminal).unwrap();
    assert_eq!(terminal.text(), "weir> vm li");
}

proptest! {
    #[test]
    fn the_terminal_shows_the_line_for_any_input(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
        type_all(&mut editor, &mut terminal, &bytes);
        prop_assert_eq!(editor.text(), terminal.text());
        prop_assert!(editor.text().len() <= LINE);
        prop_assert!(editor.text().bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    }

    #[test]
    fn the_terminal_shows_the_line_with_the_shell_s_own_keys(
        keys in proptest::collection::vec(
            prop_oneof![
                "[a-z ]{1,40}".prop_map(StdString::into_bytes),
                Just(b"\x1b[A".to_vec()),
                Just(b"\x1b[B".to_vec()),
                Just(b"\x7f".to_vec()),
                Just(b"\x15".to_vec()),
                Just(b"\x17".to_vec()),
                Just(b"\r".to_vec()),
                Just(b"\x03".to_vec()),
            ],
            0..60,
        )
    ) {
        let (mut editor, mut terminal) = (Editor::new(), Terminal::default());
        type_all(&mut editor, &mut terminal, &keys.concat());
        prop_assert_eq!(editor.text(), terminal.text());
    }
}
