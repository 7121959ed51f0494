//! The guest's command line: words, most of the form `key=value`.

use crate::mmio;
use crate::net::Ipv4;

/// A copy of the command line, truncated to 255 bytes.
pub struct CommandLine {
    bytes: [u8; 255],
    length: usize,
}

impl CommandLine {
    /// Copies a zero-terminated text; at address zero there is none.
    #[must_use]
    pub fn read(address: u64) -> Self {
        let mut bytes = [0; 255];
        if address != 0 {
            mmio::read_bytes(address, &mut bytes);
        }
        Self::new(bytes)
    }

    fn new(bytes: [u8; 255]) -> Self {
        let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        Self { bytes, length }
    }

    /// The whole text; empty if it is not valid UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }

    /// The value of the first word `key=value`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.text().split_ascii_whitespace().find_map(|word| {
            let (name, value) = word.split_once('=')?;
            (name == key).then_some(value)
        })
    }

    /// The number of the first word `key=number`, or `otherwise`.
    #[must_use]
    pub fn number(&self, key: &str, otherwise: u32) -> u32 {
        self.value(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    }

    /// The IPv4 address of the first word `key=a.b.c.d`.
    #[must_use]
    pub fn address(&self, key: &str) -> Option<Ipv4> {
        let mut octets = [0; 4];
        let mut parts = self.value(key)?.split('.');
        for octet in &mut octets {
            *octet = parts.next()?.parse().ok()?;
        }
        parts.next().is_none().then_some(Ipv4(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> CommandLine {
        let mut bytes = [0; 255];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        CommandLine::new(bytes)
    }

    #[test]
    fn words_are_found_by_their_key() {
        let line = of("quiet ip=10.0.5.2 count=12 xip=1.1.1.1");
        assert_eq!(line.address("ip"), Some(Ipv4([10, 0, 5, 2])));
        assert_eq!(line.number("count", 1), 12);
        assert_eq!(line.number("absent", 7), 7);
        assert_eq!(line.value("quiet"), None);
    }

    #[test]
    fn a_malformed_address_is_ignored() {
        assert_eq!(of("ip=10.0.5").address("ip"), None);
        assert_eq!(of("ip=10.0.5.2.3").address("ip"), None);
        assert_eq!(of("ip=10.0.5.256").address("ip"), None);
    }
}
