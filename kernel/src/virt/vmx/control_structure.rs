//! A virtual-machine control structure and the instructions that reach it.

use super::fields::{Field, INSTRUCTION_ERROR, ReadWrite};
use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::cores::{PerCore, per_core};
use crate::virt::VirtError;
use base::HostPhysical;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// The VMCS that VMREAD and VMWRITE reach on this core.
static CURRENT: PerCore<AtomicU64> = per_core!(AtomicU64::new(NO_VMCS));
/// There is none [SDM3C 25.11.3].
const NO_VMCS: u64 = u64::MAX;

/// How an instruction of VMX ended [SDM3C 31.2].
pub fn check(instruction: &'static str, carry: bool, zero: bool) -> Result<(), VirtError> {
    match (carry, zero) {
        (false, false) => Ok(()),
        (true, _) => Err(VirtError::Instruction { instruction, error: 0 }),
        (false, true) => {
            Err(VirtError::Instruction { instruction, error: read_raw(INSTRUCTION_ERROR.0) as u32 })
        }
    }
}

fn read_raw(encoding: u32) -> u64 {
    let value: u64;
    // SAFETY: VMREAD in VMX operation touches the current VMCS only; when there is none it sets CF and leaves
    // the zero.
    unsafe {
        asm!("xor {v:e}, {v:e}", "vmread {v}, {e}", v = out(reg) value, e = in(reg) u64::from(encoding),
            options(nostack));
    }
    value
}

/// One VMCS. Its fields are reached through the processor, which may keep them anywhere [SDM3C 25.11.1].
pub struct Vmcs {
    region: HostPhysical,
}

impl Vmcs {
    /// A cleared VMCS with this revision identifier.
    pub fn new(frames: &mut PageFrames, revision: u32) -> Result<Self, VirtError> {
        let mut vmcs = Self { region: region(frames, revision)? };
        vmcs.clear()?;
        Ok(vmcs)
    }

    /// Has the processor write everything it keeps of the VMCS to memory: before its first use, and before
    /// another core uses it. It must be launched anew afterwards [SDM3C 25.11.3].
    pub fn clear(&mut self) -> Result<(), VirtError> {
        let (carry, zero): (u8, u8);
        // SAFETY: the region is a frame of its own, and its guest does not run.
        unsafe {
            asm!("vmclear [{}]", "setc {}", "setz {}", in(reg) &self.region.0, out(reg_byte) carry,
                out(reg_byte) zero, options(nostack));
        }
        let _ = CURRENT.here().compare_exchange(self.region.0, NO_VMCS, Ordering::Relaxed, Ordering::Relaxed);
        check("VMCLEAR", carry != 0, zero != 0)
    }

    /// Makes this the VMCS that the processor works on.
    pub fn make_current(&self) {
        if CURRENT.here().swap(self.region.0, Ordering::Relaxed) == self.region.0 {
            return;
        }
        let (carry, zero): (u8, u8);
        // SAFETY: the region was initialised by VMCLEAR and lives as long as Weir.
        unsafe {
            asm!("vmptrld [{}]", "setc {}", "setz {}", in(reg) &self.region.0, out(reg_byte) carry,
                out(reg_byte) zero, options(nostack));
        }
        assert!(carry == 0 && zero == 0, "VMPTRLD of a VMCS of our own failed");
    }

    /// Reads a field of this VMCS.
    pub fn read<T: Value, A>(&self, field: Field<T, A>) -> T {
        self.make_current();
        T::from_raw(read_raw(field.0))
    }

    /// Writes a field of this VMCS.
    pub fn write<T: Value>(&mut self, field: Field<T, ReadWrite>, value: T) {
        self.make_current();
        let (carry, zero): (u8, u8);
        // SAFETY: changes the current VMCS only; what a guest can do with the values is for the controls to
        // bound.
        unsafe {
            asm!("vmwrite {}, {}", "setc {}", "setz {}", in(reg) u64::from(field.0), in(reg) value.raw(),
                out(reg_byte) carry, out(reg_byte) zero, options(nostack));
        }
        assert!(carry == 0 && zero == 0, "VMCS field {:#x} cannot be written", field.0);
    }
}

/// A frame that begins with the revision identifier: a VMCS or VMXON region [SDM3C 25.2, 25.11.5].
pub fn region(frames: &mut PageFrames, revision: u32) -> Result<HostPhysical, PageFrameError> {
    let region = frames.allocate(PAGE, PAGE)?;
    // SAFETY: the frame was just handed out.
    unsafe { physical::pointer(region).cast::<u32>().write_volatile(revision) };
    Ok(region)
}

/// What a field can hold.
pub trait Value: Copy {
    /// As the instructions take it.
    fn raw(self) -> u64;
    /// From what the instructions gave.
    fn from_raw(raw: u64) -> Self;
}

macro_rules! value {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn raw(self) -> u64 {
                self as u64
            }
            fn from_raw(raw: u64) -> Self {
                raw as Self
            }
        })*
    };
}

value!(u16, u32, u64, usize);
