//! A virtual-machine control structure (VMCS) and the instructions that access it.

use super::enter::Launch;
use super::fields::{ControlField, INSTRUCTION_ERROR, ReadWrite};
use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::cores::{PerCore, per_core};
use crate::virt::VirtError;
use crate::virt::control_field::Value;
use base::HostPhysical;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// The current VMCS of this core: the one that VMREAD and VMWRITE access.
static CURRENT: PerCore<AtomicU64> = per_core!(AtomicU64::new(NO_VMCS));
/// No VMCS is current [SDM3C 25.11.3].
const NO_VMCS: u64 = u64::MAX;

/// The result of a VMX instruction, from its flags [SDM3C 31.2].
pub fn check(instruction: &'static str, carry: bool, zero: bool) -> Result<(), VirtError> {
    match (carry, zero) {
        (false, false) => Ok(()),
        (true, _) => Err(VirtError::Instruction { instruction, error: 0 }),
        (false, true) => Err(VirtError::Instruction {
            instruction,
            error: u32::from_register(read_raw(INSTRUCTION_ERROR.0)),
        }),
    }
}

fn read_raw(encoding: u32) -> u64 {
    let value: u64;
    // SAFETY: VMREAD in VMX operation accesses the current VMCS only; when there is none it sets CF and leaves
    // the zero in place.
    unsafe {
        asm!("xor {v:e}, {v:e}", "vmread {v}, {e}", v = out(reg) value, e = in(reg) u64::from(encoding),
            options(nostack));
    }
    value
}

/// One VMCS. Its fields are accessed through the processor, which may keep them anywhere [SDM3C 25.11.1].
pub struct Vmcs {
    region: HostPhysical,
    /// What its next entry is.
    pub launch: Launch,
}

impl Vmcs {
    /// A cleared VMCS with this revision identifier.
    pub fn new(frames: &mut PageFrames, revision: u32) -> Result<Self, VirtError> {
        let mut vmcs = Self { region: region(frames, revision)?, launch: Launch::First };
        vmcs.clear()?;
        Ok(vmcs)
    }

    /// Makes the processor write its copy of the VMCS to memory: before the first use of the VMCS, and before
    /// another core uses it. The next entry must be VMLAUNCH [SDM3C 25.11.3].
    pub fn clear(&mut self) -> Result<(), VirtError> {
        let (carry, zero): (u8, u8);
        // SAFETY: the region is a frame of its own, and its guest does not run.
        unsafe {
            asm!("vmclear [{}]", "setc {}", "setz {}", in(reg) &self.region.0, out(reg_byte) carry,
                out(reg_byte) zero, options(nostack));
        }
        self.launch = Launch::First;
        let _ = CURRENT.here().compare_exchange(self.region.0, NO_VMCS, Ordering::Relaxed, Ordering::Relaxed);
        check("VMCLEAR", carry != 0, zero != 0)
    }

    /// Makes this the current VMCS.
    pub fn make_current(&self) {
        // Each access to a field comes through here, and nearly always finds its VMCS current.
        let current = CURRENT.here();
        if current.load(Ordering::Relaxed) == self.region.0 {
            return;
        }
        current.store(self.region.0, Ordering::Relaxed);
        let (carry, zero): (u8, u8);
        // SAFETY: the region was initialised by VMCLEAR and lives as long as Weir.
        unsafe {
            asm!("vmptrld [{}]", "setc {}", "setz {}", in(reg) &self.region.0, out(reg_byte) carry,
                out(reg_byte) zero, options(nostack));
        }
        assert!(carry == 0 && zero == 0, "VMPTRLD of a VMCS of our own failed");
    }

    /// Reads a field of this VMCS.
    pub fn read<T: Value, A>(&self, field: ControlField<T, A>) -> T {
        self.make_current();
        T::from_register(read_raw(field.0))
    }

    /// Writes a field of this VMCS.
    pub fn write<T: Value>(&mut self, field: ControlField<T, ReadWrite>, value: T) {
        self.make_current();
        let raw: u64 = value.raw().into();
        let (carry, zero): (u8, u8);
        // SAFETY: changes the current VMCS only; the controls confine the guest whatever the values are.
        unsafe {
            asm!("vmwrite {}, {}", "setc {}", "setz {}", in(reg) u64::from(field.0), in(reg) raw,
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
