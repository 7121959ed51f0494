//! Loading in steps, so that a large image does not hold up others.

use super::{BootImages, EntryState, LoadError, check, load};
use base::{GuestMemory, GuestPhysical, MemoryError};
use core::cell::Cell;
use core::ops::Range;

/// What a call of [`load_step`] has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStep {
    /// So many bytes are loaded in all, and more are to come.
    Loaded(u64),
    /// All is loaded, and the first processor starts like this.
    Complete(EntryState),
}

/// Does what [`load`] does, at most `most` bytes in each call: `from` is zero in the first call, then what the previous one
/// returned. Images and memory must be the same in all of them.
///
/// Each call goes through all that is loaded and copies its part. That costs little: an initrd is one write.
///
/// # Errors
/// [`LoadError`], the same as [`load`]'s, in the first call and before anything is written.
///
/// ```
/// # use platform::boot::{BootImages, LoadError, LoadStep, load_step};
/// # let acpi = platform::acpi::build(1);
/// # let memory = testkit::FakeMemory::new(16 << 20);
/// # let (command_line, identity) = ("", &Default::default());
/// let images = BootImages { kernel: b"MZ", initrd: b"", command_line, acpi: &acpi, identity };
/// let mut loaded = 0;
/// let entry = loop {
///     match load_step(&memory, 16 << 20, &images, loaded, 2 << 20) {
///         Ok(LoadStep::Loaded(so_far)) => loaded = so_far, // others have their turn
///         Ok(LoadStep::Complete(entry)) => break Ok(entry),
///         Err(error) => break Err(error),
///     }
/// };
/// assert_eq!(entry, Err(LoadError::UnknownImage { length: 2 }));
/// ```
pub fn load_step<M: GuestMemory>(
    memory: &M,
    memory_bytes: u64,
    images: &BootImages<'_>,
    from: u64,
    most: u64,
) -> Result<LoadStep, LoadError> {
    if from == 0 {
        check(memory_bytes, images)?;
    }
    let end = from.saturating_add(most);
    let portion = Portion { memory, taken: from..end, written: Cell::new(0) };
    let entry = load(&portion, memory_bytes, images)?;
    Ok(if portion.written.get() > end { LoadStep::Loaded(end) } else { LoadStep::Complete(entry) })
}

/// Memory that takes a range of the bytes that are written to it, counted in the order in which they are written, and
/// forgets the others.
struct Portion<'a, M> {
    memory: &'a M,
    taken: Range<u64>,
    written: Cell<u64>,
}

impl<M: GuestMemory> GuestMemory for Portion<'_, M> {
    /// The loader only writes.
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(at, into)
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let begin = self.written.get();
        self.written.set(begin + from.len() as u64);
        // A place that does not fit is beyond the end of `from`.
        let index =
            |place: u64| usize::try_from(place.saturating_sub(begin)).unwrap_or(from.len()).min(from.len());
        let (first, end) = (index(self.taken.start), index(self.taken.end));
        if first == end {
            return Ok(());
        }
        self.memory.write(GuestPhysical(at.0 + first as u64), &from[first..end])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Flat, bzimage, elf, unsuitable};
    use super::*;
    use crate::acpi;
    use crate::boot::DmiIdentity;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    /// Memory that counts the bytes that are written to it.
    struct Counted {
        memory: Flat,
        bytes: RefCell<usize>,
    }

    impl GuestMemory for Counted {
        fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
            self.memory.read(at, into)
        }

        fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
            *self.bytes.borrow_mut() += from.len();
            self.memory.write(at, from)
        }
    }

    /// Loads step by step, and checks that no step writes more than it may. Returns the number of steps, too.
    fn load_in_steps(
        memory: Flat,
        images: &BootImages<'_>,
        most: usize,
    ) -> (Result<EntryState, LoadError>, Vec<u8>, usize) {
        let bytes = memory.0.borrow().len() as u64;
        let memory = Counted { memory, bytes: RefCell::new(0) };
        let (mut from, mut steps) = (0, 0);
        let result = loop {
            let step = load_step(&memory, bytes, images, from, most as u64);
            let written = memory.bytes.take();
            assert!(written <= most, "{written}");
            steps += 1;
            match step {
                Ok(LoadStep::Loaded(so_far)) => {
                    assert_eq!(
                        (so_far, written),
                        (from + most as u64, most),
                        "each step but the last is whole"
                    );
                    from = so_far;
                }
                Ok(LoadStep::Complete(entry)) => break Ok(entry),
                Err(error) => {
                    assert_eq!(written, 0, "errors are found before anything is written");
                    break Err(error);
                }
            }
        };
        (result, memory.memory.0.into_inner(), steps)
    }

    #[test]
    fn loading_in_steps_is_loading_at_once() {
        const STEP: usize = 2 << 20;
        let acpi = acpi::build(1);
        let identity = DmiIdentity::default();
        let mut large = bzimage();
        large.extend((0..5u32 << 20).map(|i| (i >> 3) as u8));
        let mut images: Vec<Vec<u8>> = unsuitable().into_iter().map(|(image, _)| image).collect();
        images.extend([elf(), bzimage(), large]);
        for kernel in &images {
            for (initrd, text, most) in
                [(0, "", 100), (0, "a\0b", STEP), (9 << 20, "x", STEP), (30 << 20, "", STEP)]
            {
                // 100 bytes at a time take long enough with small images.
                let most = if kernel.len() > STEP { STEP } else { most };
                let initrd: Vec<u8> = (0..initrd).map(|i: u32| (i >> 7) as u8).collect();
                let images = BootImages {
                    kernel,
                    initrd: &initrd,
                    command_line: text,
                    acpi: &acpi,
                    identity: &identity,
                };
                let memory = Flat::new(32 << 20);
                let loaded = load(&memory, 32 << 20, &images);
                let (stepped, bytes, steps) = load_in_steps(Flat::new(32 << 20), &images, most);
                assert_eq!(stepped, loaded);
                assert!(loaded.is_err() || memory.0.into_inner() == bytes);
                assert!(loaded.is_err() || steps > (kernel.len() + initrd.len()) / most);
            }
        }
    }
}
