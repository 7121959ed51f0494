//! Checks whether QEMU with KVM works here and offers its guest a virtualization extension. Neither a device node
//! nor the host's CPUID proves that, so a machine with a single boot sector is booted, which reports what it sees.

use crate::backend::Backend;
use crate::failure::ErrorContext;
use crate::process::Process;
use crate::qemu::Accelerator;
use crate::{Failure, Outcome, artifacts, qemu};
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// Timeout; a machine that works needs one second.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// A boot sector in 16-bit code: writes 1 for VT-x, 2 for SVM or 3 for neither to port 0xf4, QEMU's exit device.
#[rustfmt::skip]
const PROBE: [u8; 43] = [
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x00,       // mov eax, 1
    0x0f, 0xa2,                               // cpuid
    0x66, 0xf7, 0xc1, 0x20, 0x00, 0x00, 0x00, // test ecx, 1 << 5   VMX [SDM2A CPUID]
    0xb0, 0x01,                               // mov al, 1
    0x75, 0x15,                               // jnz out
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x80,       // mov eax, 0x80000001
    0x0f, 0xa2,                               // cpuid
    0x66, 0xf7, 0xc1, 0x04, 0x00, 0x00, 0x00, // test ecx, 1 << 2   SVM [APM2 15.4]
    0xb0, 0x02,                               // mov al, 2
    0x75, 0x02,                               // jnz out
    0xb0, 0x03,                               // mov al, 3
    0xe6, 0xf4,                               // out: out 0xf4, al
    0xf4,                                     // hlt
];

/// The virtualization extension that a machine in QEMU sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// VT-x.
    Vtx,
    /// SVM.
    Svm,
    /// Neither.
    Neither,
}

/// The backend with nested KVM that works here. Probed once in a process.
///
/// # Errors
/// The reason why none works.
pub fn nested_kvm() -> Result<Backend, String> {
    static FOUND: OnceLock<Result<Backend, String>> = OnceLock::new();
    FOUND.get_or_init(try_nested_kvm).clone()
}

fn try_nested_kvm() -> Result<Backend, String> {
    OpenOptions::new().read(true).write(true).open("/dev/kvm").map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            "/dev/kvm is closed to this user: sudo usermod -aG kvm $USER, and log in \
                                            again"
                .into()
        }
        ErrorKind::NotFound => {
            "there is no /dev/kvm: see whether the module kvm_intel or kvm_amd is loaded, and \
                                    whether the firmware's set-up has virtualization on"
                .into()
        }
        _ => format!("/dev/kvm cannot be opened: {error}"),
    })?;
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Without these flags nothing can nest, and there is no need to wait for a machine that may hang.
    if !flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm") {
        return Err("/dev/kvm exists, but this machine's processor has neither VT-x nor SVM".into());
    }
    match extension(Accelerator::Kvm, Accelerator::Kvm.cpu_model()) {
        Ok(Extension::Vtx) => Ok(Backend::KvmVtx),
        Ok(Extension::Svm) => Ok(Backend::KvmSvm),
        Ok(Extension::Neither) => {
            Err("KVM works without nesting: see the parameter `nested` of kvm_intel or kvm_amd".into())
        }
        Err(failure) => Err(format!("KVM cannot start a machine: {failure}")),
    }
}

/// Boots a machine that reports the extension it sees.
///
/// # Errors
/// It does not start, or does not report in time.
pub fn extension(accelerator: Accelerator, cpu_model: &str) -> Outcome<Extension> {
    let folder = artifacts::target().join("probe").join(format!("{}-{cpu_model}", std::process::id()));
    fs::create_dir_all(&folder).context(format!("creating {}", folder.display()))?;
    let found = start(accelerator, cpu_model, &folder);
    let _ = fs::remove_dir_all(&folder);
    found
}

fn start(accelerator: Accelerator, cpu_model: &str, folder: &Path) -> Outcome<Extension> {
    let mut sector = [0; 512];
    sector[..PROBE.len()].copy_from_slice(&PROBE);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::write(folder.join("probe.img"), sector).context("probe.img")?;
    let arguments: Vec<String> = format!(
        "-machine pc -accel {} -cpu {cpu_model} -m 16 -nodefaults -no-user-config -display none -no-reboot \
         -drive format=raw,snapshot=on,file=probe.img -device isa-debug-exit,iobase=0xf4",
        accelerator.name()
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect();
    let mut process = Process::start(&qemu::program()?, &arguments, folder)?;
    let status = process.wait(PROBE_TIMEOUT)?;
    // The exit status is twice the value plus one.
    match status.code() {
        Some(3) => Ok(Extension::Vtx),
        Some(5) => Ok(Extension::Svm),
        Some(7) => Ok(Extension::Neither),
        _ => Err(Failure::Ended { status: status.to_string(), context: process.last_words() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reports_whether_it_sees_svm() {
        assert_eq!(extension(Accelerator::Tcg, "max").unwrap(), Extension::Svm);
        assert_eq!(extension(Accelerator::Tcg, "max,-svm").unwrap(), Extension::Neither);
    }

    #[test]
    fn a_machine_that_does_not_start_gives_the_reason() {
        let failure = extension(Accelerator::Tcg, "no-such-model").unwrap_err().to_string();
        assert!(failure.contains("no-such-model"), "{failure}");
    }
}
