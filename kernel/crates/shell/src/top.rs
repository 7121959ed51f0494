//! `net top`: what passes the NICs, as a picture that is drawn again and again.
//!
//! A picture stays open like a prompt: as long as nothing else is written, the next one takes its place. What the log or a
//! guest writes meanwhile stays, and the next picture is drawn below.

use crate::table::{Column, NicRow, VnicRow, row, shortened};
use Column::{Number, Text};
use base::{Duration, Instant};
use core::fmt::{self, Display, Write};
use heapless::{String, Vec};

/// Time between two pictures.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of a picture: some 50 rows, more than a terminal shows.
const TEXT: usize = 4096;
/// Rows whose counters are remembered.
const ROWS: usize = 128;
/// The last line.
const LAST: &str = "any key ends this";

/// Counters of a row: bytes out and in, frames out and in.
type Counts = [u64; 4];

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TopStyle {
    /// Not at all.
    Hidden,
    /// Each picture in the place of the one before.
    InPlace,
    /// One picture after the other.
    Plain,
}

/// The live view of the network.
#[derive(Debug)]
pub struct Top {
    style: TopStyle,
    due: Instant,
    /// When the last picture was made, and how long that was before this one, in microseconds; 0 for the first one.
    at: Instant,
    elapsed: u128,
    before: Vec<Counts, ROWS>,
    rows: usize,
    text: String<TEXT>,
    /// Rows that the text has no room for.
    left_out: usize,
    /// Lines of the picture on the terminal, above the last one.
    drawn: usize,
}

impl Default for Top {
    fn default() -> Self {
        Self::new()
    }
}

impl Top {
    /// A view that is not shown.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            style: TopStyle::Hidden,
            due: Instant::ZERO,
            at: Instant::ZERO,
            elapsed: 0,
            before: Vec::new(),
            rows: 0,
            text: String::new(),
            left_out: 0,
            drawn: 0,
        }
    }

    /// Shows it from now on; `plain` without control of the terminal.
    pub(crate) fn show(&mut self, plain: bool, now: Instant) {
        self.style = if plain { TopStyle::Plain } else { TopStyle::InPlace };
        (self.due, self.drawn) = (now, 0);
        self.before.clear();
    }

    /// Shows it no longer; false if it was not shown.
    pub(crate) fn hide(&mut self) -> bool {
        core::mem::replace(&mut self.style, TopStyle::Hidden) != TopStyle::Hidden
    }

    /// When the next picture is due, if it is shown.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.style != TopStyle::Hidden).then_some(self.due)
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.style == TopStyle::Plain
    }

    /// Begins a picture.
    pub(crate) fn begin(&mut self, now: Instant) {
        let first = self.before.is_empty();
        self.elapsed = if first { 0 } else { now.saturating_since(self.at).as_micros() };
        (self.at, self.due) = (now, now + INTERVAL);
        (self.rows, self.left_out) = (0, 0);
        self.text.clear();
        self.add(&TopRow::NICS);
    }

    /// Begins the part for vNICs.
    pub fn begin_vnics(&mut self) {
        self.add(&TopRow::VNICS);
    }

    /// Adds a NIC.
    pub fn nic(&mut self, nic: &NicRow<'_>) {
        let rates = [nic.rates.sent, nic.rates.received].map(|bytes| Some(bytes.saturating_mul(8)));
        let [_, _, sent, received] = self.per_second([0, 0, nic.transmitted, nic.received]);
        self.add(&TopRow {
            name: &nic.name,
            state: nic.state,
            link: &nic.speed.map_or("down", |_| "up"),
            rates: [rates[0], rates[1], sent, received],
            drops: nic.drops,
            errors: Some(nic.errors),
        });
    }

    /// Adds a vNIC.
    pub fn vnic(&mut self, vnic: &VnicRow<'_>) {
        let [sent, received] = vnic.bytes;
        let [out, into, frames_out, frames_in] =
            self.per_second([sent, received, vnic.transmitted, vnic.received]);
        let bits = |bytes: Option<u64>| bytes.map(|bytes| bytes.saturating_mul(8));
        self.add(&TopRow {
            name: &VnicName(vnic.vm, vnic.number),
            state: &vnic.carrier.or(vnic.uplink).unwrap_or("-"),
            link: &if vnic.link { "up" } else { "down" },
            rates: [bits(out), bits(into), frames_out, frames_in],
            drops: vnic.drops,
            errors: None,
        });
    }

    /// What the counters of the next row have grown by in a second; nothing in the first picture.
    fn per_second(&mut self, counts: Counts) -> [Option<u64>; 4] {
        let place = self.rows;
        self.rows += 1;
        let Some(before) = self.before.get_mut(place) else {
            // Rows beyond those remembered have no rates.
            let _ = self.before.push(counts);
            return [None; 4];
        };
        let before = core::mem::replace(before, counts);
        let elapsed = self.elapsed;
        core::array::from_fn(|at| {
            // A counter that has gone back was set to zero.
            let grown = u128::from(counts[at].saturating_sub(before[at]));
            (grown * 1_000_000).checked_div(elapsed).and_then(|rate| u64::try_from(rate).ok())
        })
    }

    fn add(&mut self, row: &dyn Display) {
        let kept = self.text.len();
        if writeln!(self.text, "{row}").is_err() {
            self.text.truncate(kept);
            self.left_out += 1;
        }
    }

    /// The lines of the picture.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Draws the picture; in the place of the last one if the cursor is still on its last line.
    pub(crate) fn draw(&mut self, out: &mut dyn Write, in_place: bool) -> fmt::Result {
        if in_place && self.drawn > 0 {
            // To its first line, and clear to the end of the screen [ECMA-48 8.3.22, 8.3.39].
            write!(out, "\r\x1b[{}A\x1b[J", self.drawn)?;
        }
        self.drawn = self.lines().count();
        self.lines().try_for_each(|line| writeln!(out, "weir| {line}"))?;
        write!(out, "weir| {}", self.last())
    }

    /// The line that ends the picture.
    pub(crate) fn last(&self) -> impl Display {
        TopEnd(self.left_out)
    }
}

/// The end of a picture from which so many rows are left out.
struct TopEnd(usize);

impl Display for TopEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str(LAST),
            left_out => write!(f, "{LAST}; {left_out} more rows"),
        }
    }
}

/// A row of the picture.
struct TopRow<'a> {
    name: &'a dyn Display,
    state: &'a dyn Display,
    link: &'a dyn Display,
    /// Bits out and in, frames out and in, each per second.
    rates: [Option<u64>; 4],
    drops: u64,
    errors: Option<u64>,
}

impl TopRow<'_> {
    const NICS: &'static str = "NIC          state     link  b/s out  b/s in f/s out  f/s in  drops errors";
    const VNICS: &'static str = "vNIC         by        link  b/s out  b/s in f/s out  f/s in  drops";
}

impl Display for TopRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [out, into, frames_out, frames_in] = self.rates.map(Rate);
        let columns = [
            Text(self.name, 12),
            Text(self.state, 9),
            Text(self.link, 5),
            Number(&out, 7),
            Number(&into, 7),
            Number(&frames_out, 7),
            Number(&frames_in, 7),
            Number(&self.drops, 6),
        ];
        row(f, &columns)?;
        self.errors.map_or(Ok(()), |errors| write!(f, " {errors:>6}"))
    }
}

/// A vNIC: its VM, shortened where there is no room for it, and its number.
struct VnicName<'a>(&'a str, usize);

impl Display for VnicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shortened::<10>(&self.0), self.1)
    }
}

/// A rate with at most three digits and its unit, or a dash for one that is not known.
struct Rate(Option<u64>);

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
        let Some(mut value) = self.0 else { return f.write_str("-") };
        let (mut tenths, mut unit) = (0, 0);
        while value >= 1000 {
            (tenths, value, unit) = (value % 1000 / 100, value / 1000, unit + 1);
        }
        match UNITS[unit] {
            "" => write!(f, "{value}"),
            unit if value < 10 => write!(f, "{value}.{tenths}{unit}"),
            unit => write!(f, "{value}{unit}"),
        }
    }
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
