//! A history as lines of text: the shell prints it, and the host tool finds it in a log of the serial line.
//!
//! ```text
//! weir| history lan: version 1, 1170 bytes, nics nic0 nic1, vnics web/0 db/0
//! weir| history lan 000000 010000000102…
//! [   31.007114] INFO  vm: web: stopped by the operator
//! weir| history lan 000040 0a0b…
//! weir| history lan: end, crc 89abcdef
//! ```
//!
//! The checksum, a CRC-32, is of the text of the first line from the team's name on, and of all bytes.

use crate::history::VERSION;
use crate::report::TeamNames;
use crate::{MAX_MEMBERS, MAX_VNICS, MemberId, Recorder, VnicId};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use crc32fast::Hasher;

/// Bytes in a line.
const IN_LINE: usize = 64;

/// What begins each line, and what the shell's lines begin with: lines of guests have another word before the bar.
const WORD: &str = "history ";
const SHELL: &str = "weir| ";

/// Passes a team's history to `say`, line by line.
pub fn write_history(recorder: &Recorder, names: &impl TeamNames, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
    let (mut length, mut crc) = (0, Hasher::new());
    recorder.read_out(|piece| length += piece.len());
    let manager = recorder.manager();
    let head = FirstLine { names, members: manager.members.len(), vnics: manager.vnics.len(), length };
    say(format_args!("{WORD}{head}"));
    let _ = write!(ChecksumOfText(&mut crc), "{head}");
    let (mut line, mut at): (heapless::Vec<u8, IN_LINE>, usize) = (heapless::Vec::new(), 0);
    let mut take = |piece: &[u8], last: bool| {
        crc.update(piece);
        for byte in piece {
            let _ = line.push(*byte);
            if line.is_full() {
                say(format_args!("{WORD}{} {at:06x} {}", names.team(), HexDigits(&line)));
                at += line.len();
                line.clear();
            }
        }
        if last && !line.is_empty() {
            say(format_args!("{WORD}{} {at:06x} {}", names.team(), HexDigits(&line)));
        }
    };
    recorder.read_out(|piece| take(piece, false));
    take(&[], true);
    say(format_args!("{WORD}{}: end, crc {:08x}", names.team(), crc.finalize()));
}

/// The first line of a history, behind [`WORD`].
struct FirstLine<'a, N> {
    names: &'a N,
    members: usize,
    vnics: usize,
    length: usize,
}

impl<N: TeamNames> fmt::Display for FirstLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |name| if str::is_empty(name) { "-" } else { name };
        write!(f, "{}: version {VERSION}, {} bytes, nics", self.names.team(), self.length)?;
        for member in (0..self.members).filter_map(MemberId::new) {
            write!(f, " {}", named(self.names.nic(member)))?;
        }
        f.write_str(", vnics")?;
        for vnic in (0..).map(VnicId).take(self.vnics) {
            let (vm, number) = self.names.vnic(vnic);
            write!(f, " {}/{number}", named(vm))?;
        }
        Ok(())
    }
}

/// Bytes, two digits each.
struct HexDigits<'a>(&'a [u8]);

impl fmt::Display for HexDigits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text goes into a checksum.
struct ChecksumOfText<'a>(&'a mut Hasher);

impl fmt::Write for ChecksumOfText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A history that was found in a log, whole or damaged.
#[derive(Clone, Debug)]
pub struct HistoryText {
    team: String,
    nics: Vec<String>,
    vnics: Vec<(String, usize)>,
    line: usize,
    /// How many bytes there are to be, and those that there are so far.
    length: usize,
    bytes: Vec<u8>,
    crc: Hasher,
    /// Nothing as long as it may go on.
    end: Option<Result<(), HistoryDamage>>,
}

/// Why a history in a log is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryDamage {
    /// The number of the line at which it shows, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: DamageReason,
}

/// What is wrong with a history in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageReason {
    /// It was written by another version of Weir.
    Version(u8),
    /// It goes on, but has not begun.
    NoBeginning,
    /// It has not ended where another one begins, or where the log ends.
    NoEnd,
    /// After this byte another one than the next one follows.
    Gap(usize, usize),
    /// The line is cut, or damaged.
    Line,
    /// It has other bytes or names than were written.
    Checksum,
}

impl fmt::Display for HistoryDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            DamageReason::Version(version) => {
                write!(f, "it has version {version}, and not {VERSION}: it is of another version of Weir")
            }
            DamageReason::NoBeginning => f.write_str("its beginning is missing"),
            DamageReason::NoEnd => f.write_str("its end is missing"),
            DamageReason::Gap(due, next) if next > due => {
                write!(f, "{} bytes from {due:06x} on are missing", next - due)
            }
            DamageReason::Gap(due, next) => write!(f, "byte {next:06x} follows where {due:06x} is due"),
            DamageReason::Line => f.write_str("the line is cut or damaged"),
            DamageReason::Checksum => f.write_str("its checksum is another one"),
        }
    }
}

impl core::error::Error for HistoryDamage {}

impl HistoryText {
    /// One that begins in this line; what its first line says is still missing.
    fn new(team: &str, line: usize) -> Self {
        let (nics, vnics, bytes) = (Vec::new(), Vec::new(), Vec::new());
        Self { team: team.into(), nics, vnics, line, length: 0, bytes, crc: Hasher::new(), end: None }
    }

    /// The number of its first line in the log, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Its bytes, for a [`crate::Replay`].
    ///
    /// # Errors
    /// What is wrong with it, if it is not whole.
    pub fn bytes(&self) -> Result<&[u8], HistoryDamage> {
        let reason = DamageReason::NoEnd;
        self.end.unwrap_or(Err(HistoryDamage { line: self.line, reason })).map(|()| self.bytes.as_slice())
    }

    /// It is damaged as this line shows.
    fn damage(&mut self, line: usize, reason: DamageReason) {
        self.end.get_or_insert(Err(HistoryDamage { line, reason }));
    }

    /// Takes what its first line says behind the team's name.
    fn begin(&mut self, text: &str) -> Result<(), DamageReason> {
        let mut parts = text.split(", ");
        let mut part =
            |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(DamageReason::Line);
        let version = part("version ")?.parse().map_err(|_| DamageReason::Line)?;
        if version != VERSION {
            return Err(DamageReason::Version(version));
        }
        let length = part("")?.strip_suffix(" bytes").and_then(|length| length.parse().ok());
        self.length = length.ok_or(DamageReason::Line)?;
        self.nics = part("nics")?.split_whitespace().take(MAX_MEMBERS).map(String::from).collect();
        let vnic = |name: &str| {
            Some(name.split_once('/')?).and_then(|(vm, number)| Some((vm.into(), number.parse().ok()?)))
        };
        let vnics = part("vnics")?.split_whitespace().take(MAX_VNICS).map(vnic).collect::<Option<_>>();
        self.vnics = vnics.ok_or(DamageReason::Line)?;
        let _ = write!(ChecksumOfText(&mut self.crc), "{}: {text}", self.team);
        Ok(())
    }

    /// Takes the bytes of a line, and their place.
    fn add(&mut self, text: &str) -> Result<(), DamageReason> {
        let (place, digits) = text.split_once(' ').ok_or(DamageReason::Line)?;
        let place = usize::from_str_radix(place, 16).map_err(|_| DamageReason::Line)?;
        let due = self.bytes.len();
        if place != due {
            return Err(DamageReason::Gap(due, place));
        }
        let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.ok_or(DamageReason::Line)?;
        self.crc.update(&bytes);
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Takes what its last line says behind the team's name.
    fn finish(&mut self, text: &str) -> Result<(), DamageReason> {
        let crc = text.strip_prefix("end, crc ").and_then(|crc| u32::from_str_radix(crc, 16).ok());
        let crc = crc.ok_or(DamageReason::Line)?;
        match self.bytes.len() {
            there if there != self.length => Err(DamageReason::Gap(there, self.length)),
            _ if self.crc.clone().finalize() != crc => Err(DamageReason::Checksum),
            _ => Ok(()),
        }
    }
}

impl TeamNames for HistoryText {
    fn team(&self) -> &str {
        &self.team
    }

    fn nic(&self, member: MemberId) -> &str {
        self.nics.get(member.index()).map_or("?", |name| name)
    }

    fn vnic(&self, vnic: VnicId) -> (&str, usize) {
        self.vnics.get(usize::from(vnic.0)).map_or(("?", 0), |(vm, number)| (vm, *number))
    }
}

/// The histories in a log of the serial line, in the order of their first lines, with those that are damaged.
#[must_use]
pub fn read_histories(log: &str) -> Vec<HistoryText> {
    let mut found: Vec<HistoryText> = Vec::new();
    let mut lines = 0;
    for (number, line) in (1..).zip(log.lines()) {
        lines = number;
        let Some((word, text)) = of_shell(line).and_then(|line| line.split_once(' ')) else { continue };
        let team = word.strip_suffix(':');
        let begins = team.is_some() && text.starts_with("version ");
        let known = found.iter_mut().rfind(|history| history.team == team.unwrap_or(word));
        let history = match known {
            Some(history) if !begins && history.end != Some(Ok(())) => history,
            before => {
                before.into_iter().for_each(|history| history.damage(number, DamageReason::NoEnd));
                found.push(HistoryText::new(team.unwrap_or(word), number));
                let Some(history) = found.last_mut() else { continue };
                history
            }
        };
        if history.end.is_some() {
            continue;
        }
        let taken = match team {
            Some(_) if begins => history.begin(text),
            _ if history.line == number => Err(DamageReason::NoBeginning),
            Some(_) => history.finish(text).map(|()| history.end = Some(Ok(()))),
            None => history.add(text),
        };
        taken.unwrap_or_else(|reason| history.damage(number, reason));
    }
    found.iter_mut().for_each(|history| history.damage(lines, DamageReason::NoEnd));
    found
}

/// What the shell says of a history in this line, if it does: a guest may write the same, but not at the beginning of a line,
/// where some programs that record a line put the time.
fn of_shell(line: &str) -> Option<&str> {
    let line = line.trim();
    let said = line.split_once(SHELL).filter(|(before, _)| !before.contains('|')).map(|(_, said)| said);
    said.unwrap_or(line).strip_prefix(WORD)
}
