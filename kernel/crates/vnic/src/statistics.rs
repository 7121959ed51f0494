//! The statistics registers: cleared by reading, stuck at their maximum [8254x 13.7].

use crate::ethernet::FCS;
use crate::registers::VnicRegisters;
use base::MacAddress;
use base::bits::{high_u32, low_u32};
use intel_regs::{receive, stats};

impl VnicRegisters {
    /// Adds to a 32-bit statistics register.
    #[inline(always)]
    pub(crate) fn count(&mut self, offset: u32, by: u32) {
        self.set(offset, self.get(offset).saturating_add(by));
    }

    /// Adds to a 64-bit statistics register whose low half is at `low`.
    #[inline(always)]
    fn count_long(&mut self, low: u32, by: usize) {
        let value = u64::from(self.get(low)) | u64::from(self.get(low + 4)) << 32;
        let value = value.saturating_add(by as u64);
        self.set(low, low_u32(value));
        self.set(low + 4, high_u32(value));
    }

    /// Reads a statistics register and clears it; of a 64-bit pair, reading the high half clears both and
    /// reading the low half clears nothing [8254x 13.7].
    pub(crate) fn read_statistic(&mut self, offset: u32) -> u32 {
        let value = self.get(offset);
        match offset {
            stats::GORCL | stats::GOTCL | stats::TORL | stats::TOTL => {}
            stats::GORCH | stats::GOTCH | stats::TORH | stats::TOTH => {
                self.set(offset - 4, 0);
                self.set(offset, 0);
            }
            _ => self.set(offset, 0),
        }
        value
    }

    /// Counts a frame that passed the filters but is longer than the guest allows.
    pub(crate) fn count_oversized(&mut self, length: usize) {
        self.count(stats::TPR, 1);
        self.count_long(stats::TORL, length);
        self.count(stats::ROC, 1);
    }

    /// Counts good frames received.
    pub(crate) fn count_received(&mut self, tally: &FrameTally) {
        self.count_frames(tally, [stats::TPR, stats::GPRC], [stats::TORL, stats::GORCL]);
        self.count_kinds(tally, [stats::BPRC, stats::MPRC, stats::PRC64]);
    }

    /// Counts frames transmitted.
    pub(crate) fn count_transmitted(&mut self, tally: &FrameTally) {
        self.count_frames(tally, [stats::TPT, stats::GPTC], [stats::TOTL, stats::GOTCL]);
        self.count_kinds(tally, [stats::BPTC, stats::MPTC, stats::PTC64]);
    }

    #[inline(always)]
    fn count_frames(&mut self, tally: &FrameTally, frames: [u32; 2], bytes: [u32; 2]) {
        frames.into_iter().for_each(|offset| self.count(offset, tally.frames));
        bytes.into_iter().for_each(|low| self.count_long(low, tally.bytes));
    }

    #[inline(always)]
    fn count_kinds(&mut self, tally: &FrameTally, [broadcast, multicast, classes]: [u32; 3]) {
        self.count(broadcast, tally.broadcast);
        self.count(multicast, tally.multicast);
        for (offset, frames) in (classes..).step_by(4).zip(tally.classes) {
            if frames > 0 {
                self.count(offset, frames);
            }
        }
    }
}

/// Frames of one run, counted together.
#[derive(Default)]
pub(crate) struct FrameTally {
    pub(crate) frames: u32,
    /// Their bytes, with their frame check sequences.
    pub(crate) bytes: usize,
    broadcast: u32,
    multicast: u32,
    classes: [u32; CLASSES],
}

impl FrameTally {
    /// One more, of this length without its frame check sequence.
    #[inline]
    pub(crate) fn add(&mut self, destination: MacAddress, length: usize) {
        let length = length + FCS;
        self.frames += 1;
        self.bytes += length;
        self.classes[size_class(length)] += 1;
        if destination.is_multicast() {
            let broadcast = destination == MacAddress::BROADCAST;
            *if broadcast { &mut self.broadcast } else { &mut self.multicast } += 1;
        }
    }
}

/// Number of classes of lengths, each with a register.
const CLASSES: usize = 6;

/// The class of a frame of `length` bytes.
fn size_class(length: usize) -> usize {
    match length {
        0..=receive::MIN_FRAME => 0,
        65..=127 => 1,
        128..=255 => 2,
        256..=511 => 3,
        512..=1023 => 4,
        _ => CLASSES - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_the_manual() {
        for (length, offset) in [
            (64, stats::PRC64),
            (65, stats::PRC127),
            (127, stats::PRC127),
            (128, stats::PRC255),
            (511, stats::PRC511),
            (1023, stats::PRC1023),
            (1024, stats::PRC1522),
            (16384, stats::PRC1522),
        ] {
            assert_eq!(stats::PRC64 + 4 * size_class(length) as u32, offset, "{length}");
        }
    }

    #[test]
    fn counters_stick_at_their_maximum() {
        let mut registers = VnicRegisters::new();
        registers.set(stats::GPTC, u32::MAX);
        registers.set(stats::GOTCL, u32::MAX);
        registers.set(stats::GOTCH, u32::MAX);
        let mut tally = FrameTally::default();
        tally.add(MacAddress::default(), 60);
        registers.count_transmitted(&tally);
        assert_eq!(registers.read_statistic(stats::GPTC), u32::MAX);
        assert_eq!(registers.read_statistic(stats::GOTCL), u32::MAX);
        assert_eq!(registers.read_statistic(stats::GOTCH), u32::MAX);
        assert_eq!(registers.read_statistic(stats::GPTC), 0);
        assert_eq!(registers.read_statistic(stats::GOTCL), 0);
    }
}
