//! SVM operation of this processor.

use super::capabilities::VirtCapabilities;
use super::control_structure::Vmcb;
use crate::memory::{PAGE, PageFrames};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::cpu;
use crate::virt::VirtError;
use base::HostPhysical;
use core::arch::asm;
use spin::Once;
use x86_64::registers::model_specific::{Efer, EferFlags};

const VM_HSAVE_PA: u32 = 0xc001_0117;

/// A core in SVM operation.
#[derive(Clone)]
pub struct Operation {
    /// What it can do.
    pub capabilities: VirtCapabilities,
    /// Traps every port: shared by all guests.
    pub io_permissions: HostPhysical,
    /// Which MSRs trap: shared by all guests.
    pub msr_permissions: HostPhysical,
    /// Weir's own segments and system-call MSRs.
    pub host: HostPhysical,
}

static OPERATION: PerCore<Once<Operation>> = per_core!(Once::new());

/// Takes this core into SVM operation.
///
/// # Errors
/// When a feature is missing.
pub fn enter(frames: &mut PageFrames) -> Result<(), VirtError> {
    let capabilities = VirtCapabilities::read()?;
    let save_area = frames.allocate(PAGE, PAGE)?;
    // SAFETY: the processor has SVM and it is not disabled; the save area is a frame of its own [APM2 15.30.4].
    unsafe {
        Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
        cpu::wrmsr(VM_HSAVE_PA, save_area.0);
    }
    let host = Vmcb::new(frames)?.address();
    // SAFETY: writes the VMCB just made.
    unsafe { asm!("vmsave rax", in("rax") host.0, options(nostack)) }
    let boot = OPERATION.of(cores::BOOT_CORE).and_then(Once::get);
    if let Some(boot) = boot {
        // All cores are of one kind, and share what guests may reach; only the save area is each one's own.
        OPERATION.here().call_once(|| Operation { host, ..boot.clone() });
        return Ok(());
    }
    crate::virt::offer::decide(super::controls::offer());
    let io_permissions = super::controls::io_permissions(frames)?;
    let msr_permissions = super::controls::msr_permissions(frames)?;
    log::info!("SVM on: {capabilities}, physical addresses {} bits", cpu::cpuid(0x8000_0008, 0).eax & 0xff);
    OPERATION.here().call_once(|| Operation { capabilities, io_permissions, msr_permissions, host });
    Ok(())
}

/// The operation that [`enter`] has this core in.
pub fn current() -> Result<&'static Operation, VirtError> {
    OPERATION.here().get().ok_or(VirtError::Instruction { instruction: "VMRUN", error: 0 })
}
