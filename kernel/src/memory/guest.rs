//! A guest's memory: pinned, assigned at boot, and translated by looking up its pieces.

use crate::memory::copy::copy_volatile;
use crate::memory::physical;
use crate::memory::span::{self, MachineMemory};
use crate::processor::narrow::to_usize;
use base::{GuestMemory, GuestPhysical, GuestSpans, MemoryError, Span};
use core::sync::atomic::{Ordering, fence};
use host_memory::GuestMap;

/// All memory of one guest.
#[derive(Clone, Debug, Default)]
pub struct GuestRam {
    map: GuestMap,
}

impl GuestRam {
    /// The memory that this map finds, which belongs to the guest from now on.
    pub fn new(map: GuestMap) -> Self {
        Self { map }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.map.bytes()
    }

    /// Clears up to `bytes` from offset `from` on, counted through all pieces; stops at the end of a piece.
    /// Returns the next offset, or `None` when `from` is past the end.
    pub fn clear(&self, from: u64, bytes: u64) -> Option<u64> {
        let (host, length) = self.map.at_offset(from, bytes)?;
        // SAFETY: inside this guest's memory, which stays mapped; the guest is not running.
        unsafe { physical::pointer(host).write_bytes(0, to_usize(length)) };
        Some(from + length)
    }

    /// Passes each contiguous part of a range to `work`, with its offset in the range and its length. Nearly all ranges
    /// are one part. None is passed when part of the range is not memory.
    #[cold]
    fn for_each_part(
        &self,
        at: GuestPhysical,
        length: usize,
        mut work: impl FnMut(*mut u8, usize, usize),
    ) -> Result<(), MemoryError> {
        let outside = MemoryError::Outside { at, length };
        let (host, room) = self.map.part(at, length as u64).ok_or(outside)?;
        let first = to_usize(room);
        if first < length {
            self.parts_after(at, first, length, |_, _, _| ()).ok_or(outside)?;
        }
        work(physical::pointer(host), 0, first);
        if first < length {
            self.parts_after(at, first, length, work).ok_or(outside)?;
        }
        Ok(())
    }

    /// Passes the parts of a range from an offset in it on; `None` where there is no memory.
    #[cold]
    fn parts_after(
        &self,
        at: GuestPhysical,
        mut offset: usize,
        length: usize,
        mut work: impl FnMut(*mut u8, usize, usize),
    ) -> Option<()> {
        while offset < length {
            let (host, room) = self.map.part(at.checked_add(offset as u64)?, (length - offset) as u64)?;
            work(physical::pointer(host), offset, to_usize(room));
            offset += to_usize(room);
        }
        Some(())
    }
}

impl GuestMemory for GuestRam {
    #[inline]
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        let (to, length) = (into.as_mut_ptr(), into.len());
        match self.map.part(at, length as u64) {
            // SAFETY: the part is this guest's memory, which stays mapped and is accessed by copies only, and it is as long
            // as what lies in `into` from the offset on; so below.
            Some((host, room)) if room == length as u64 => unsafe {
                copy_volatile(physical::pointer(host), to, length);
            },
            // SAFETY: as above.
            _ => self.for_each_part(at, length, |from, offset, length| unsafe {
                copy_volatile(from, to.add(offset), length);
            })?,
        }
        fence(Ordering::Acquire);
        Ok(())
    }

    // Always: a walk of the guest's tables reads four, for each access to a device.
    #[inline(always)]
    fn read_qword(&self, at: GuestPhysical) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        match self.map.part(at, 8) {
            // SAFETY: as in `read`.
            Some((host, 8)) => unsafe { copy_volatile(physical::pointer(host), bytes.as_mut_ptr(), 8) },
            _ => self.read(at, &mut bytes)?,
        }
        fence(Ordering::Acquire);
        Ok(u64::from_le_bytes(bytes))
    }

    #[inline]
    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        // x86 keeps stores in order [SDM3A 9.2.2]; the fence makes the compiler do so, too.
        fence(Ordering::Release);
        match self.map.part(at, from.len() as u64) {
            // SAFETY: as in `read`.
            Some((host, room)) if room == from.len() as u64 => unsafe {
                copy_volatile(from.as_ptr(), physical::pointer(host), from.len());
            },
            // SAFETY: as in `read`.
            _ => self.for_each_part(at, from.len(), |into, offset, length| unsafe {
                copy_volatile(from.as_ptr().add(offset), into, length);
            })?,
        }
        Ok(())
    }
}

impl GuestSpans for GuestRam {
    type Memory = MachineMemory;

    #[inline]
    fn span(&self, at: GuestPhysical, length: usize) -> Option<Span> {
        let (host, room) = self.map.part(at, length as u64)?;
        // SAFETY: this guest's memory for good, which is accessed by copies only.
        Some(unsafe { span::span(host, to_usize(room)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::HostPhysical;
    use host_memory::MemoryPiece;
    use proptest::prelude::*;

    const PAGE: usize = 4096;
    const HIGH: u64 = 1 << 32;

    /// Two pages below 4 GiB and two above, in four pieces that lie the other way round in the machine's memory.
    fn guest() -> (GuestRam, &'static [u8]) {
        let memory = vec![0; 4 * PAGE].leak();
        let start = memory.as_mut_ptr() as u64;
        let piece = |(number, guest): (u64, u64)| MemoryPiece {
            guest: GuestPhysical(guest),
            host: HostPhysical(start + (3 - number) * PAGE as u64),
            bytes: PAGE as u64,
        };
        let places = (0..).zip([0, PAGE as u64, HIGH, HIGH + PAGE as u64]);
        (GuestRam::new(places.map(piece).collect()), memory)
    }

    proptest! {
        #[test]
        fn copies_go_through_pieces_whole_or_not_at_all(
            writes in proptest::collection::vec((any::<bool>(), 0..3 * PAGE, 0..2 * PAGE), 1..20)
        ) {
            let (ram, memory) = guest();
            let mut model = [vec![0u8; 2 * PAGE], vec![0u8; 2 * PAGE]];
            for (number, (high, at, length)) in (1u8..).zip(writes) {
                let guest = GuestPhysical(at as u64 + if high { HIGH } else { 0 });
                let written = ram.write(guest, &vec![number; length]);
                let range = model[usize::from(high)].get_mut(at..at + length);
                prop_assert_eq!(written.is_ok(), range.is_some());
                range.into_iter().flatten().for_each(|byte| *byte = number);
                let mut back = vec![0; length];
                prop_assert_eq!(ram.read(guest, &mut back).is_ok(), written.is_ok());
                prop_assert!(written.is_err() || back.iter().all(|byte| *byte == number));
                let mut eight = [0; 8];
                let read = ram.read(guest, &mut eight).map(|()| u64::from_le_bytes(eight));
                prop_assert_eq!(ram.read_qword(guest).ok(), read.ok());
            }
            let laid_out: Vec<u8> = model.concat().chunks(PAGE).rev().flatten().copied().collect();
            prop_assert!(memory == laid_out);
        }
    }

    #[test]
    fn all_pieces_are_cleared_in_steps() {
        let (ram, memory) = guest();
        for at in [0, HIGH] {
            ram.write(GuestPhysical(at), &[0xee; 2 * PAGE]).unwrap();
        }
        let (mut from, mut steps) = (0, 0);
        while let Some(next) = ram.clear(from, 3000) {
            (from, steps) = (next, steps + 1);
        }
        assert_eq!((from, steps), (ram.bytes(), 8));
        assert!(memory.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_range_that_leaves_memory_or_the_address_space_is_refused() {
        let (ram, _) = guest();
        for (at, length) in [(PAGE as u64, PAGE + 1), (HIGH - 1, 2), (u64::MAX, 2), (u64::MAX - 1, 1)] {
            assert!(ram.read(GuestPhysical(at), &mut vec![0; length]).is_err(), "{at:#x}");
        }
    }
}
