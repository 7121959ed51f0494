//! The choice of backends: those that the environment variable `ACCEL` names, or those that work here.

use crate::backend::{ALL, Backend};
use crate::{Failure, Outcome};

/// The separators of the names in `ACCEL`.
const SEPARATORS: [char; 2] = [',', ' '];
/// In `ACCEL`: the first backend that works here.
const FASTEST: &str = "fastest";

/// The backends to use, and an explanation for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// In the order of their use; never empty.
    pub backends: Vec<Backend>,
    /// A line for each backend, whether it is used or not.
    pub reasons: Vec<String>,
}

/// The backends for the suite: those that `ACCEL` lists, or all that work here.
///
/// # Errors
/// `ACCEL` names a backend that does not exist or does not work here; or no backend works here.
pub fn for_suite() -> Outcome<Choice> {
    choose(&requested(), Backend::check)
}

/// The backend for one machine: the first that `ACCEL` names, or the fastest that works here.
///
/// # Errors
/// As [`for_suite`].
pub fn for_run() -> Outcome<(Backend, Vec<String>)> {
    let requested = requested();
    let choice = choose(if requested.is_empty() { FASTEST } else { &requested }, Backend::check)?;
    let backend = *choice.backends.first().ok_or_else(nothing)?;
    Ok((backend, choice.reasons))
}

fn requested() -> String {
    std::env::var("ACCEL").unwrap_or_default()
}

/// True when `ACCEL` names this backend.
#[must_use]
pub fn is_requested(backend: Backend) -> bool {
    requested().split(SEPARATORS).any(|word| word == backend.name())
}

/// True when this machine is emulated itself, so that any backend is slow.
#[must_use]
pub fn is_emulated() -> bool {
    std::env::var_os("WEIR_EMULATED").is_some()
}

/// So many datagrams, or a twentieth of them where this machine is emulated itself.
#[must_use]
pub fn datagrams(count: u32) -> u32 {
    if is_emulated() { count / 20 } else { count }
}

fn nothing() -> Failure {
    Failure::Wrong("no emulator works here: run `make setup`".into())
}

/// Chooses from a list of names, separated by commas or spaces.
fn choose(requested: &str, check: impl Fn(Backend) -> Result<(), String>) -> Outcome<Choice> {
    if requested == FASTEST {
        let mut choice = choose("", check)?;
        // The slower backends need no line.
        let fastest = choice.backends[0];
        choice.backends.truncate(1);
        choice.reasons.truncate(ALL.iter().position(|one| *one == fastest).unwrap_or(0) + 1);
        return Ok(choice);
    }
    let mut backends: Vec<Backend> = Vec::new();
    for word in requested.split(SEPARATORS).filter(|word| !word.is_empty()) {
        let backend = named(word, &check)?;
        check(backend).map_err(|reason| Failure::Wrong(format!("ACCEL={word}: {reason}")))?;
        if !backends.contains(&backend) {
            backends.push(backend);
        }
    }
    if !backends.is_empty() {
        let reasons = backends.iter().map(|backend| line(*backend, "requested by ACCEL")).collect();
        return Ok(Choice { backends, reasons });
    }
    let mut choice = Choice { backends: Vec::new(), reasons: Vec::new() };
    for backend in ALL {
        match check(backend) {
            Ok(()) => {
                choice.backends.push(backend);
                choice.reasons.push(line(backend, "works here"));
            }
            Err(reason) => choice.reasons.push(format!("{backend}: not used: {reason}")),
        }
    }
    if choice.backends.is_empty() { Err(nothing()) } else { Ok(choice) }
}

fn line(backend: Backend, why: &str) -> String {
    format!("{backend}: {}; {why}", backend.description())
}

/// The backend with this name; `kvm` is the one of the two KVM backends that works here, `fastest` the first of all.
fn named(word: &str, check: &impl Fn(Backend) -> Result<(), String>) -> Outcome<Backend> {
    if word == "kvm" {
        return Ok(if check(Backend::KvmSvm).is_ok() { Backend::KvmSvm } else { Backend::KvmVtx });
    }
    if word == FASTEST {
        return ALL.into_iter().find(|backend| check(*backend).is_ok()).ok_or_else(nothing);
    }
    ALL.into_iter().find(|backend| backend.name() == word).ok_or_else(|| {
        let names = ALL.map(Backend::name).join(", ");
        Failure::Wrong(format!("ACCEL={word}: valid names are {FASTEST}, kvm, {names}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_kvm(backend: Backend) -> Result<(), String> {
        match backend {
            Backend::KvmVtx | Backend::KvmSvm => Err("no /dev/kvm".into()),
            _ => Ok(()),
        }
    }

    #[test]
    fn without_a_request_all_that_work_are_used_and_the_others_have_a_reason() {
        let choice = choose("", without_kvm).unwrap();
        assert_eq!(choice.backends, [Backend::QemuSvm, Backend::BochsVtx, Backend::BochsSvm]);
        assert_eq!(choose("bochs-svm", without_kvm).unwrap().backends, [Backend::BochsSvm]);
        assert_eq!(choice.reasons[0], "kvm-vtx: not used: no /dev/kvm");
        assert_eq!(choice.reasons[2], "qemu-svm: QEMU emulates SVM; works here");
        let bochs = Backend::BochsSvm.description();
        assert_eq!(choice.reasons[4], format!("bochs-svm: {bochs}; works here"));
    }

    #[test]
    fn the_fastest_is_the_first_that_works() {
        let choice = choose("fastest", without_kvm).unwrap();
        assert_eq!(choice.backends, [Backend::QemuSvm]);
        assert_eq!(choice.reasons.last().unwrap(), "qemu-svm: QEMU emulates SVM; works here");
        let list = choose("fastest, bochs-vtx, fastest", without_kvm).unwrap();
        assert_eq!(list.backends, [Backend::QemuSvm, Backend::BochsVtx]);
    }

    #[test]
    fn requested_backends_keep_their_order() {
        let choice = choose("bochs-vtx,qemu-svm bochs-vtx", without_kvm).unwrap();
        assert_eq!(choice.backends, [Backend::BochsVtx, Backend::QemuSvm]);
    }

    #[test]
    fn kvm_is_the_kvm_backend_that_works() {
        let with_svm =
            |backend| if backend == Backend::KvmVtx { Err("SVM here".into()) } else { Ok::<_, String>(()) };
        assert_eq!(choose("kvm", with_svm).unwrap().backends, [Backend::KvmSvm]);
    }

    #[test]
    fn a_request_that_cannot_be_met_gives_the_reason() {
        let failure = |requested| choose(requested, without_kvm).unwrap_err().to_string();
        assert_eq!(failure("kvm"), "ACCEL=kvm: no /dev/kvm");
        assert!(failure("xen").starts_with("ACCEL=xen: valid names are fastest, kvm, kvm-vtx, "));
    }
}
