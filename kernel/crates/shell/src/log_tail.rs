//! The end of the log, kept in memory for reports, since the serial line may have no reader.

use core::fmt::{self, Write};

/// The last `N` bytes of the log.
#[derive(Clone, Debug)]
pub struct LogTail<const N: usize> {
    ring: [u8; N],
    written: usize,
}

impl<const N: usize> LogTail<N> {
    /// Without a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { ring: [0; N], written: 0 }
    }

    /// Adds a line, which `write` writes without its end.
    pub fn remember(&mut self, write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        // Formatting fails only if one of Weir's own `Display`s does; the line then ends there.
        let _ = write(self);
        let _ = self.write_str("\n");
    }

    /// Passes the whole lines that are still kept to `say`, oldest first.
    pub fn for_each_line(&mut self, say: impl FnMut(&str)) {
        // Once the ring has wrapped around, the first line is incomplete.
        let wrapped = self.written >= N;
        if wrapped {
            self.ring.rotate_left(self.written % N);
        }
        let lines = self.ring[..self.written.min(N)].split(|byte| *byte == b'\n').skip(usize::from(wrapped));
        lines
            .filter(|line| !line.is_empty())
            .filter_map(|line| core::str::from_utf8(line).ok())
            .for_each(say);
    }
}

impl<const N: usize> Default for LogTail<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Write for LogTail<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.ring[self.written % N] = byte;
            self.written = self.written.wrapping_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(lines: usize) -> (usize, usize) {
        let mut tail = LogTail::<8192>::new();
        for number in 0..lines {
            tail.remember(|out| write!(out, "line {number}"));
        }
        let (mut count, mut last) = (0, 0);
        tail.for_each_line(|line| {
            let number: usize = line.strip_prefix("line ").unwrap().parse().unwrap();
            assert!(count == 0 || number == last + 1);
            (count, last) = (count + 1, number);
        });
        (count, last)
    }

    #[test]
    fn the_last_whole_lines_are_kept() {
        let (count, last) = numbers(2000);
        assert_eq!(last, 1999);
        assert!(count > 800 && count < 830, "{count}");
    }

    #[test]
    fn all_lines_are_kept_as_long_as_there_is_room() {
        assert_eq!(numbers(0), (0, 0));
        assert_eq!(numbers(100), (100, 99));
    }
}
