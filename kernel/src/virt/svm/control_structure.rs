//! A virtual machine control block (VMCB). It is plain memory, but the processor writes it at every exit and
//! may cache parts of it: each access is one volatile access of the field's width.

use super::controls::CleanBits;
use super::fields::{CLEAN, ControlField, INSTRUCTION_BYTES, ReadWrite, clean_bit};
use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::narrow::to_usize;
use crate::virt::InstructionBytes;
use crate::virt::control_field::Value;
use base::HostPhysical;

/// One VMCB.
pub struct Vmcb {
    region: HostPhysical,
    /// Clean bits of the fields that were written since the last exit.
    changed: CleanBits,
}

impl Vmcb {
    /// A VMCB of zeros.
    pub fn new(frames: &mut PageFrames) -> Result<Self, PageFrameError> {
        Ok(Self { region: frames.allocate(PAGE, PAGE)?, changed: CleanBits::EVERYTHING })
    }

    /// Clears it to a VMCB of zeros.
    pub fn clear(&mut self) {
        let frame = self.pointer::<[u8; to_usize(PAGE)]>(0);
        // SAFETY: the region is a frame of its own, and its guest does not run.
        unsafe { frame.write_bytes(0, 1) }
        self.mark_changed();
    }

    /// Makes the processor read the whole VMCB at the next entry.
    pub fn mark_changed(&mut self) {
        self.changed = CleanBits::EVERYTHING;
    }

    /// Its address, for VMRUN, VMLOAD and VMSAVE.
    pub fn address(&self) -> HostPhysical {
        self.region
    }

    fn pointer<T>(&self, offset: u32) -> *mut T {
        physical::pointer(self.region).wrapping_add(offset as usize).cast()
    }

    /// Reads a field.
    pub fn read<T: Value, A>(&self, field: ControlField<T, A>) -> T {
        // SAFETY: the region is a frame of its own that lives as long as Weir; fields are integers, aligned and
        // inside.
        T::from_raw(unsafe { self.pointer::<T::Raw>(field.0).read_volatile() })
    }

    /// Writes a field.
    pub fn write<T: Value>(&mut self, field: ControlField<T, ReadWrite>, value: T) {
        self.changed |= clean_bit(field);
        // SAFETY: as in `read`; the intercepts confine the guest whatever the values are.
        unsafe { self.pointer::<T::Raw>(field.0).write_volatile(value.raw()) }
    }

    /// Tells the processor, just before an entry, what has not changed since the last exit. Processors without
    /// clean bits ignore it.
    pub fn mark_clean(&mut self) {
        let changed = core::mem::replace(&mut self.changed, CleanBits::empty());
        self.write(CLEAN, CleanBits::EVERYTHING - changed);
    }

    /// The bytes of the instruction that exited; empty when the processor does not provide them.
    pub fn instruction_bytes(&self) -> InstructionBytes {
        // SAFETY: as in `read`.
        let [count, bytes @ ..] = unsafe { self.pointer::<[u8; 16]>(INSTRUCTION_BYTES).read_volatile() };
        bytes.into_iter().take(usize::from(count & 0xf)).collect()
    }
}
