//! VMX operation of this core: VMXON, and invalidation of cached translations.

use super::capabilities::VirtCapabilities;
use super::control_structure::{check, region};
use super::controls::{Controls, PinControls};
use crate::memory::PageFrames;
use crate::virt::{VirtError, offer};
use base::HostPhysical;
use core::arch::asm;
use spin::Once;
use x86_64::registers::control::{Cr0, Cr4, Cr4Flags};

/// A processor in VMX operation.
pub struct Operation {
    /// What the processor can do.
    pub capabilities: VirtCapabilities,
    /// I/O bitmaps, in which every port exits: shared by all guests.
    pub io_permissions: HostPhysical,
    /// MSR bitmaps: shared by all guests.
    pub msr_permissions: HostPhysical,
}

/// What the boot core found. It holds for all cores, because they are identical.
static OPERATION: Once<Operation> = Once::new();

/// Enters VMX operation on this core.
///
/// # Errors
/// When a feature is missing or VMXON fails.
pub fn enter(frames: &mut PageFrames) -> Result<(), VirtError> {
    let capabilities = VirtCapabilities::read()?;
    let vmxon = region(frames, capabilities.revision)?;
    // SAFETY: only adds bits that VMX operation requires [SDM3C 24.8]: NE and VMXE; the kernel does not use x87.
    unsafe {
        Cr0::write_raw(Cr0::read_raw() | capabilities.cr0_fixed.bits());
        let cr4 = capabilities.cr4_fixed | Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS;
        Cr4::write_raw(Cr4::read_raw() | cr4.bits());
    }
    let (carry, zero): (u8, u8);
    // SAFETY: the region is a frame of its own with the revision identifier.
    unsafe {
        asm!("vmxon [{}]", "setc {}", "setz {}", in(reg) &vmxon.0, out(reg_byte) carry, out(reg_byte) zero,
            options(nostack));
    }
    check("VMXON", carry != 0, zero != 0)?;
    if OPERATION.get().is_some() {
        return Ok(());
    }
    let controls = Controls::new(&capabilities)?;
    offer::decide(super::controls::offer(controls.secondary));
    let io_permissions = super::controls::io_permissions(frames)?;
    let msr_permissions = super::controls::msr_permissions(frames)?;
    OPERATION.call_once(|| Operation { capabilities, io_permissions, msr_permissions });
    let (two_mib, one_gib) = capabilities.large_pages;
    log::info!(
        "VT-x on: VMCS revision {:#x}, EPT pages 4K{}{}, preemption timer 1/{} of the TSC, physical addresses {} bits",
        capabilities.revision,
        if two_mib { " 2M" } else { "" },
        if one_gib { " 1G" } else { "" },
        1u32 << capabilities.preemption_shift,
        offer::physical_bits(),
    );
    if !controls.pin.contains(PinControls::PREEMPTION_TIMER) {
        log::info!(
            "no preemption timer that counts as it should: the local APIC's timer ends the guests' turns"
        );
    }
    Ok(())
}

/// The VMX operation that [`enter`] entered.
pub fn current() -> Result<&'static Operation, VirtError> {
    OPERATION.get().ok_or(VirtError::Instruction { instruction: "VMXON", error: 0 })
}

/// What identifies the translations that the processor caches for a guest.
#[derive(Clone, Copy)]
pub struct Translations {
    /// The EPT pointer.
    pub ept_pointer: u64,
    /// The virtual-processor identifier.
    pub vpid: u16,
}

impl Translations {
    /// Discards all of them.
    pub fn invalidate(self) {
        self.invalidate_linear();
        let descriptor = [self.ept_pointer, 0];
        // SAFETY: a single-context INVEPT of a pointer in use only discards cached translations [SDM3C 29.4.3.1].
        unsafe { asm!("invept {}, [{}]", in(reg) 1u64, in(reg) &descriptor, options(nostack)) }
    }

    /// Discards those from linear addresses.
    pub fn invalidate_linear(self) {
        let descriptor = [u64::from(self.vpid), 0];
        // SAFETY: a single-context INVVPID only discards cached translations [SDM3C 29.4.3.3].
        unsafe { asm!("invvpid {}, [{}]", in(reg) 1u64, in(reg) &descriptor, options(nostack)) }
    }
}
