//! The choice of the vendor.

use super::{VirtError, VirtualCpu};

/// Work that is generic over the vendor of the virtual processors.
pub trait Task {
    /// Result of the work.
    type Output;

    /// Does the work with virtual processors of type `V`.
    fn run<V: VirtualCpu>(self) -> Self::Output;
}

/// Runs a task with this machine's kind of virtual processor: the only place that chooses the vendor.
///
/// # Errors
/// When the machine has neither VT-x nor SVM.
pub fn with_this_machine<T: Task>(task: T) -> Result<T::Output, VirtError> {
    use super::{svm, vmx};
    if vmx::present() {
        Ok(task.run::<vmx::Vcpu>())
    } else if svm::present() {
        Ok(task.run::<svm::Vcpu>())
    } else {
        Err(VirtError::Missing {
            feature: "hardware virtualization (VT-x, CPUID.1:ECX.VMX, or SVM, CPUID.80000001H:ECX.SVM)",
            remedy: "use a processor that has it, or, under another hypervisor, switch nested virtualization on",
        })
    }
}
