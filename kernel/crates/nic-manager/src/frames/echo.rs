//! Echoes: frames of guests that come back from the wire by another member.
//!
//! A switch floods what is for a group, or for an address that it does not know, into all members but the one that it came by.
//! Frames from the address of a vNIC are known by that address ([`super::provenance`]). A guest may have other ones, as a bridge or a
//! host of containers has, and nobody may have an address for himself by sending from it: so what is sent from these is
//! remembered, and what comes back like it within a moment is dropped.

use super::hash_of;
use base::{Instant, MacAddress};

/// Frames that are remembered, and for how many nanoseconds.
const REMEMBERED: usize = 256;
const WINDOW: u64 = 50_000_000;
/// As many of their bytes are compared at most, in pairs of words.
const COMPARED: usize = 64;

/// A frame that was sent.
#[derive(Clone, Copy)]
struct SentFrame {
    hash: u64,
    at: u64,
}

/// Knows the frames that guests have sent from addresses that are not those of their vNICs.
pub struct EchoFilter {
    sent: [SentFrame; REMEMBERED],
    /// A bit for the last six bits of each of these addresses, as long as frames are sent from them.
    sources: u64,
    last: u64,
    key: [u64; 2],
}

impl EchoFilter {
    /// A filter that has seen nothing. Its key is random.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        Self { sent: [SentFrame { hash: 0, at: 0 }; REMEMBERED], sources: 0, last: 0, key }
    }

    /// Takes note of a frame that is sent, which begins with `head` and has so many bytes.
    pub fn note(&mut self, head: &[u8], length: usize, now: Instant) {
        let Some(source) = MacAddress::source_of(head) else { return };
        if now.as_nanos().saturating_sub(core::mem::replace(&mut self.last, now.as_nanos())) >= WINDOW {
            self.sources = 0;
        }
        self.sources |= bit(source);
        let hash = self.hash(head, length);
        self.sent[slot(hash)] = SentFrame { hash, at: now.as_nanos() };
    }

    /// True if a frame from the wire is one that was sent just before.
    #[must_use]
    #[inline]
    pub fn is_echo(&self, head: &[u8], length: usize, now: Instant) -> bool {
        let source = MacAddress::source_of(head);
        source.is_some_and(|source| self.sources & bit(source) != 0) && self.is_known(head, length, now)
    }

    #[inline(never)]
    fn is_known(&self, head: &[u8], length: usize, now: Instant) -> bool {
        let hash = self.hash(head, length);
        let SentFrame { hash: known, at } = self.sent[slot(hash)];
        known == hash && at != 0 && now.as_nanos().saturating_sub(at) < WINDOW
    }

    /// A hash of what is the same when the frame is sent and when it comes back: a NIC may pad it, and compute checksums of IPv4, of
    /// TCP and of UDP in it. Its source is part of that, so no frame of anybody else is like it.
    fn hash(&self, head: &[u8], length: usize) -> u64 {
        let ether_type = head.get(12..14).unwrap_or_default();
        let end = match ether_type {
            [0x08, 0x00] => 38,
            [0x86, 0xdd] => 58,
            _ => 46,
        };
        let mut same = [0; COMPARED];
        let end = end.min(length).min(head.len());
        // What is lacking are zeros, as in a frame that was padded.
        same[..end].copy_from_slice(&head[..end]);
        if ether_type == [0x08, 0x00] {
            same[24..26].fill(0);
        }
        let (words, _) = same.as_chunks();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        let pairs =
            [0, 2, 4, 6].map(|at| (word(at), word(at + 1) ^ if at == 6 { length.max(60) as u64 } else { 0 }));
        hash_of(pairs, self.key)
    }
}

fn bit(source: MacAddress) -> u64 {
    1 << (source.0[5] % 64)
}

fn slot(hash: u64) -> usize {
    (hash >> 7) as usize % REMEMBERED
}
