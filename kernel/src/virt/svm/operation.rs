//! SVM operation of this core.

use super::capabilities;
use super::control_structure::Vmcb;
use crate::memory::{PAGE, PageFrames};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::cpu;
use crate::virt::{VirtError, guards, offer};
use base::HostPhysical;
use core::arch::asm;
use silicon::measures::Guards;
use silicon::svm::SvmCapabilities;
use spin::Once;
use x86_64::registers::model_specific::{Efer, EferFlags};

const VM_HSAVE_PA: u32 = 0xc001_0117;

/// A core in SVM operation.
#[derive(Clone)]
pub struct Operation {
    /// What the processor can do.
    pub capabilities: SvmCapabilities,
    /// I/O permissions map, in which every port exits: shared by all guests.
    pub io_permissions: HostPhysical,
    /// MSR permissions map: shared by all guests.
    pub msr_permissions: HostPhysical,
    /// The VMCB that holds Weir's own segments and system-call MSRs.
    pub host: HostPhysical,
    /// What each entry on this core must do.
    pub guards: Guards,
}

static OPERATION: PerCore<Once<Operation>> = per_core!(Once::new());

/// Enters SVM operation on this core.
///
/// # Errors
/// When a feature is missing.
pub fn enter(frames: &mut PageFrames) -> Result<(), VirtError> {
    let capabilities = capabilities::read()?;
    let save_area = frames.allocate(PAGE, PAGE)?;
    // SAFETY: the processor has SVM and it is not disabled; the save area is a frame of its own [APM2 15.30.4].
    unsafe {
        Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
        cpu::wrmsr(VM_HSAVE_PA, save_area.0);
    }
    let host = Vmcb::new(frames)?.address();
    // SAFETY: writes the VMCB that was just made.
    unsafe { asm!("vmsave rax", in("rax") host.0, options(nostack)) }
    let boot = OPERATION.of(cores::BOOT_CORE).and_then(Once::get);
    if let Some(boot) = boot {
        // All cores are identical and share the permission maps; only the save area belongs to each core.
        OPERATION.here().call_once(|| Operation { host, guards: guards::here(), ..boot.clone() });
        return Ok(());
    }
    offer::decide(super::controls::offer());
    let io_permissions = super::controls::io_permissions(frames)?;
    let msr_permissions = super::controls::msr_permissions(frames)?;
    log::info!("SVM on: {capabilities}, physical addresses {} bits", offer::physical_bits());
    OPERATION.here().call_once(|| Operation {
        capabilities,
        io_permissions,
        msr_permissions,
        host,
        guards: guards::here(),
    });
    Ok(())
}

/// This core's SVM operation, which [`enter`] entered.
pub fn current() -> Result<&'static Operation, VirtError> {
    OPERATION.here().get().ok_or(VirtError::Instruction { instruction: "VMRUN", error: 0 })
}
