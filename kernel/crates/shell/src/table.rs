//! Rows of the shell's tables; each table has a heading with the same columns.

use base::ByteRates;
use core::fmt::{self, Display, Write};
use heapless::String;

/// Maximum length of a cell's text in bytes.
const CELL: usize = 32;

/// A column of a row, with its width.
pub(crate) enum Column<'a> {
    /// Text, aligned left.
    Text(&'a dyn Display, usize),
    /// A number, aligned right.
    Number(&'a dyn Display, usize),
}

use Column::{Number, Text};

/// Writes the columns of a row, with a blank between them.
pub(crate) fn row(f: &mut fmt::Formatter<'_>, columns: &[Column<'_>]) -> fmt::Result {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            f.write_char(' ')?;
        }
        match column {
            Text(value, width) => write!(f, "{:<width$}", shortened::<CELL>(*value))?,
            Number(value, width) => write!(f, "{:>width$}", shortened::<CELL>(*value))?,
        }
    }
    Ok(())
}

/// The value as text, truncated if it is longer than `N` bytes.
///
/// ```
/// let text: heapless::String<4> = shell::shortened(&12345);
/// assert_eq!(text, "1234");
/// ```
pub fn shortened<const N: usize>(value: &dyn Display) -> String<N> {
    struct Cut<const N: usize>(String<N>);
    impl<const N: usize> Write for Cut<N> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            text.chars().try_for_each(|character| self.0.push(character)).map_err(|_| fmt::Error)
        }
    }
    let mut text = Cut(String::new());
    // An error means that the text was truncated.
    let _ = write!(text, "{value}");
    text.0
}

/// Formats counters with their names, without those that are zero. A list too long for a line is truncated.
///
/// ```
/// let text = shell::counts([("received", 3), ("lost", 0), ("sent", 1)]);
/// assert_eq!(text, " received 3 sent 1");
/// ```
pub fn counts(named: impl IntoIterator<Item = (&'static str, u64)>) -> String<768> {
    let mut text = String::new();
    for (name, count) in named.into_iter().filter(|(_, count)| *count > 0) {
        if write!(text, " {name} {count}").is_err() {
            break;
        }
    }
    text
}

/// A VM, for `vm list`.
///
/// ```
/// use shell::VmRow;
///
/// let row = VmRow {
///     name: "web", state: &"idle", cpu: 1, memory: 256, vnics: 1, exits: 903, keyboard: true, reason: ""
/// };
/// assert_eq!(VmRow::HEADING, "VM               state      cpu   MiB vNICs      exits");
/// assert_eq!(row.to_string(), "web              idle         1   256     1        903  keyboard");
/// ```
pub struct VmRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its state.
    pub state: &'a dyn Display,
    /// The core that it runs on.
    pub cpu: usize,
    /// Its memory in MiB.
    pub memory: u64,
    /// The number of its vNICs.
    pub vnics: usize,
    /// The number of its VM exits.
    pub exits: u64,
    /// True if its guest has the keyboard, or had it last.
    pub keyboard: bool,
    /// Why it cannot be used; empty if it can.
    pub reason: &'a str,
}

impl VmRow<'_> {
    /// The heading of the table.
    pub const HEADING: &'static str = "VM               state      cpu   MiB vNICs      exits";
}

impl Display for VmRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [
            Text(&self.name, 16),
            Text(self.state, 9),
            Number(&self.cpu, 4),
            Number(&self.memory, 5),
            Number(&self.vnics, 5),
            Number(&self.exits, 10),
        ];
        row(f, &columns)?;
        if self.keyboard {
            f.write_str("  keyboard")?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, "  {}", self.reason) }
    }
}

/// A physical NIC, for `net nics`.
pub struct NicRow<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Its PCI address.
    pub address: &'a dyn Display,
    /// Its driver.
    pub driver: &'a str,
    /// Whether it can be used.
    pub state: &'a dyn Display,
    /// Its MAC address.
    pub mac: &'a dyn Display,
    /// Speed of its link in Mb/s; `None` while the link is down.
    pub speed: Option<u32>,
    /// Frames sent.
    pub transmitted: u64,
    /// Frames received.
    pub received: u64,
    /// Frames dropped, in both directions and for all reasons, except those that no guest here is to receive.
    pub drops: u64,
    /// Damaged frames that the NIC reported, and errors of the NIC itself.
    pub errors: u64,
    /// Bytes a second that pass it.
    pub rates: ByteRates,
}

impl NicRow<'_> {
    /// The heading of the table.
    pub const HEADING: &'static str = "NIC              PCI     driver  MAC               state     link Mb/s        tx        rx  drops errors";
}

impl<'a> NicRow<'a> {
    /// One that the configuration names and the machine does not have, or that no driver can use.
    #[must_use]
    pub fn missing(name: &'a str) -> Self {
        Self {
            name,
            address: &"-",
            driver: "-",
            mac: &"-",
            state: &"missing",
            speed: None,
            transmitted: 0,
            received: 0,
            drops: 0,
            errors: 0,
            rates: ByteRates::default(),
        }
    }
}

impl Display for NicRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = if self.speed.is_some() { "up" } else { "down" };
        let columns = [
            Text(&self.name, 16),
            Text(self.address, 7),
            Text(&self.driver, 7),
            Text(self.mac, 17),
            Text(self.state, 9),
            Text(&link, 4),
            Number(&Dash(self.speed), 4),
            Number(&self.transmitted, 9),
            Number(&self.received, 9),
            Number(&self.drops, 6),
            Number(&self.errors, 6),
        ];
        row(f, &columns)
    }
}

/// A vNIC, for `net vms`.
pub struct VnicRow<'a> {
    /// The VM that it belongs to.
    pub vm: &'a str,
    /// Its number among the VM's vNICs.
    pub number: usize,
    /// Its MAC address.
    pub mac: &'a dyn Display,
    /// The team, or the physical NIC, that carries its frames, if there is one.
    pub uplink: Option<&'a str>,
    /// The physical NIC that carries them now; `None` if there is none, or if each frame has its own.
    pub carrier: Option<&'a str>,
    /// True while its link is up.
    pub link: bool,
    /// Frames that its guest sent.
    pub transmitted: u64,
    /// Frames that its guest received.
    pub received: u64,
    /// Bytes that its guest sent, and received.
    pub bytes: [u64; 2],
    /// Frames dropped, in both directions and for all reasons, except those that the guest's receive filters
    /// exclude.
    pub drops: u64,
    /// Its VM's priority in the team; `None` without one.
    pub priority: Option<u8>,
}

impl VnicRow<'_> {
    /// The heading of the table.
    pub const HEADING: &'static str =
        "VM               vNIC MAC               uplink           link        tx        rx  drops prio";
}

impl Display for VnicRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = if self.link { "up" } else { "down" };
        let columns = [
            Text(&self.vm, 16),
            Text(&self.number, 4),
            Text(self.mac, 17),
            Text(&self.uplink.unwrap_or("-"), 16),
            Text(&link, 4),
            Number(&self.transmitted, 9),
            Number(&self.received, 9),
            Number(&self.drops, 6),
            Number(&Dash(self.priority), 4),
        ];
        row(f, &columns)
    }
}

/// A number, or a dash for none.
pub(crate) struct Dash<T>(pub Option<T>);

impl<T: Display> Display for Dash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn columns_are_aligned_with_their_headings() {
        let row = VmRow {
            name: "linux",
            state: &"running",
            cpu: 0,
            memory: 192,
            vnics: 1,
            exits: 123_456,
            keyboard: true,
            reason: "",
        };
        assert_eq!(VmRow::HEADING, "VM               state      cpu   MiB vNICs      exits");
        assert_eq!(row.to_string(), "linux            running      0   192     1     123456  keyboard");
        let row = VmRow { state: &"unusable", exits: 0, keyboard: false, reason: "no memory", ..row };
        assert_eq!(row.to_string(), "linux            unusable     0   192     1          0  no memory");
        let nic = NicRow {
            name: "nic0",
            address: &"00:02.0",
            driver: "e1000",
            mac: &"52:54:00:12:34:56",
            state: &"resetting",
            speed: None,
            transmitted: 1,
            received: 22,
            drops: 0,
            errors: 3,
            rates: ByteRates::default(),
        };
        assert_eq!(
            (NicRow::HEADING, nic.to_string().as_str()),
            (
                "NIC              PCI     driver  MAC               state     link Mb/s        tx        rx  drops errors",
                "nic0             00:02.0 e1000   52:54:00:12:34:56 resetting down    -         1        22      0      3"
            )
        );
        let missing = "nic1             -       -       -                 missing   down    -         0         0      0      0";
        assert_eq!(NicRow::missing("nic1").to_string(), missing);
        let nic = NicRow { speed: Some(1000), ..nic };
        assert!(nic.to_string().contains(" up   1000 "), "{nic}");
    }

    #[test]
    fn a_vnic_has_dashes_for_what_it_has_none_of() {
        let vnic = VnicRow {
            vm: "linux",
            number: 0,
            mac: &"52:54:00:05:00:11",
            uplink: Some("nic0"),
            carrier: Some("nic0"),
            link: true,
            transmitted: 5,
            received: 6,
            bytes: [300, 360],
            drops: 7,
            priority: Some(3),
        };
        assert_eq!(
            (VnicRow::HEADING, vnic.to_string().as_str()),
            (
                "VM               vNIC MAC               uplink           link        tx        rx  drops prio",
                "linux            0    52:54:00:05:00:11 nic0             up           5         6      7    3"
            )
        );
        let alone = VnicRow { uplink: None, priority: None, ..vnic }.to_string();
        assert!(alone.contains(" - ") && alone.ends_with(" 7    -"), "no uplink is a dash: {alone}");
    }

    #[test]
    fn text_too_long_for_a_cell_is_truncated() {
        let long = "x".repeat(50);
        assert_eq!(shortened::<CELL>(&long).len(), CELL);
        assert_eq!(shortened::<CELL>(&"ä".repeat(50)).chars().count(), CELL / 2);
    }
}
