//! The SVM capabilities of this processor, and the check that they include what Weir needs [APM2 15.4].

use crate::processor::cpu;
use crate::virt::VirtError;
use silicon::svm::{SvmCapabilities, SvmSwitch};

const VM_CR: u32 = 0xc001_0114;
const LARGEST_EXTENDED: u32 = 0x8000_0000;
const FEATURES: u32 = 0x8000_0001;
const SVM_FEATURES: u32 = 0x8000_000a;
/// CPUID 8000_0001h ECX: SVM.
const ECX_SVM: u32 = 1 << 2;

/// True when the processor has SVM, even if firmware has locked it off.
pub fn present() -> bool {
    cpu::cpuid(LARGEST_EXTENDED, 0).eax >= SVM_FEATURES && cpu::cpuid(FEATURES, 0).ecx & ECX_SVM != 0
}

/// True on a processor emulated by QEMU's TCG, whose signature is in the CPUID leaf for hypervisors.
fn is_tcg() -> bool {
    let leaf = cpu::cpuid(0x4000_0000, 0);
    let hypervisor = cpu::cpuid(1, 0).ecx & 1 << 31 != 0;
    hypervisor && [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).as_flattened() == b"TCGTCGTCGTCG"
}

/// Reads the capabilities, and permits SVM if firmware has not locked that setting.
///
/// # Errors
/// [`VirtError::Missing`], naming the feature and what to do about it.
pub fn read() -> Result<SvmCapabilities, VirtError> {
    let leaf = cpu::cpuid(SVM_FEATURES, 0);
    if let SvmSwitch::Write(value) = SvmSwitch::new(cpu::rdmsr(VM_CR), leaf.edx) {
        // SAFETY: the register is not locked, so it can be written; the write only permits SVM.
        unsafe { cpu::wrmsr(VM_CR, value) };
    }
    match SvmSwitch::new(cpu::rdmsr(VM_CR), leaf.edx) {
        SvmSwitch::On => {}
        SvmSwitch::LockedByKey => {
            return Err(locked(
                "it is locked with a key: see the firmware setup or the machine's vendor for how to unlock it",
            ));
        }
        // A write that the processor ignores [APM2 15.30.1] leaves SVM as firmware has it.
        SvmSwitch::Locked | SvmSwitch::Write(_) => {
            return Err(locked(
                "enable \"SVM Mode\" (AMD-V) in the firmware setup and power-cycle the machine",
            ));
        }
    }
    let capabilities = SvmCapabilities::from_leaf(leaf.ebx, leaf.edx, cpu::cpuid(FEATURES, 0).edx);
    let capabilities = capabilities.ok_or(VirtError::Missing {
        feature: "nested paging (CPUID.8000000AH:EDX.NP)",
        remedy: "use a processor from AMD's Barcelona generation on, or, in an emulator, add its \"npt\" feature",
    })?;
    Ok(SvmCapabilities { repeats_injection: is_tcg(), ..capabilities })
}

fn locked(remedy: &'static str) -> VirtError {
    VirtError::Missing { feature: "SVM (switched off and locked in VM_CR)", remedy }
}
