//! A virtual machine control block. It is plain memory, but the processor writes it at every exit and may keep
//! parts of it: each access is one volatile access of the field's width.

use super::fields::{CLEAN, Field, INSTRUCTION_BYTES, ReadWrite};
use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::virt::InstructionBytes;
use base::HostPhysical;

/// One VMCB.
pub struct Vmcb {
    region: HostPhysical,
    /// Clean bits of fields that were written since the last exit.
    changed: u32,
}

impl Vmcb {
    /// A VMCB of zeros.
    pub fn new(frames: &mut PageFrames) -> Result<Self, PageFrameError> {
        Ok(Self { region: frames.allocate(PAGE, PAGE)?, changed: u32::MAX })
    }

    /// Makes it a VMCB of zeros again.
    pub fn clear(&mut self) {
        // SAFETY: the region is a frame of its own, and its guest does not run.
        unsafe { self.pointer::<u8>(0).write_bytes(0, PAGE as usize) }
        self.mark_changed();
    }

    /// Has the processor read all of it at the next entry.
    pub fn mark_changed(&mut self) {
        self.changed = u32::MAX;
    }

    /// Where it is, as VMRUN, VMLOAD and VMSAVE take it.
    pub fn address(&self) -> HostPhysical {
        self.region
    }

    fn pointer<T>(&self, offset: usize) -> *mut T {
        physical::pointer(self.region).wrapping_add(offset).cast()
    }

    /// Reads a field.
    pub fn read<T: Value, A>(&self, field: Field<T, A>) -> T {
        // SAFETY: the region is a frame of its own that lives as long as Weir; fields are aligned and inside.
        unsafe { self.pointer::<T>(field.0).read_volatile() }
    }

    /// Writes a field.
    pub fn write<T: Value>(&mut self, field: Field<T, ReadWrite>, value: T) {
        self.changed |= field.clean_bit();
        // SAFETY: as in `read`; what a guest can do with the values is for the intercepts to bound.
        unsafe { self.pointer::<T>(field.0).write_volatile(value) }
    }

    /// Tells the processor what has changed since the last exit, just before an entry. Processors without clean
    /// bits ignore it.
    pub fn mark_clean(&mut self) {
        let clean = !core::mem::take(&mut self.changed);
        self.write(CLEAN, clean);
    }

    /// The bytes of the instruction that exited; none when the processor does not tell.
    pub fn instruction_bytes(&self) -> InstructionBytes {
        // SAFETY: as in `read`.
        let [count, bytes @ ..] = unsafe { self.pointer::<[u8; 16]>(INSTRUCTION_BYTES).read_volatile() };
        bytes.into_iter().take(usize::from(count & 0xf)).collect()
    }
}

/// What a field can hold.
pub trait Value: Copy {}

impl Value for u8 {}
impl Value for u16 {}
impl Value for u32 {}
impl Value for u64 {}
