//! The end of the log, kept in memory for reports, since the serial line may have no reader.

use core::fmt::{self, Write};
use spin::Mutex;

/// Bytes kept.
const KEPT: usize = 8192;

struct Tail {
    ring: [u8; KEPT],
    written: usize,
}

static TAIL: Mutex<Tail> = Mutex::new(Tail { ring: [0; KEPT], written: 0 });

impl Write for Tail {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.ring[self.written % KEPT] = byte;
            self.written = self.written.wrapping_add(1);
        }
        Ok(())
    }
}

/// Adds a line.
pub fn remember(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    let mut tail = TAIL.lock();
    // As in `output::log_line`.
    let _ = write(&mut *tail);
    let _ = tail.write_str("\n");
}

/// Passes the whole lines that are still kept to `say`, oldest first. None if a panic occurred while a line was
/// being added.
pub fn for_each_line(mut say: impl FnMut(&str)) {
    let Some(tail) = TAIL.try_lock() else { return };
    let mut text = [0; KEPT];
    let known = tail.written.min(KEPT);
    for (index, byte) in text[..known].iter_mut().enumerate() {
        *byte = tail.ring[(tail.written - known + index) % KEPT];
    }
    drop(tail);
    // Once the ring has wrapped around, the first line is incomplete.
    let lines = text[..known].split(|byte| *byte == b'\n').skip(usize::from(known == KEPT));
    lines
        .filter(|line| !line.is_empty())
        .filter_map(|line| core::str::from_utf8(line).ok())
        .for_each(&mut say);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_are_kept() {
        for number in 0..2000 {
            remember(|out| write!(out, "line {number}"));
        }
        let (mut count, mut last) = (0, 0);
        for_each_line(|line| {
            let number: usize = line.strip_prefix("line ").unwrap().parse().unwrap();
            assert!(count == 0 || number == last + 1);
            (count, last) = (count + 1, number);
        });
        assert_eq!(last, 1999);
        assert!(count > 800 && count < 830, "{count}");
    }
}
