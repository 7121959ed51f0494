//! Which backends are used: what the environment variable `ACCEL` asks for, else what works here.

use crate::backend::{ALL, Backend};
use crate::{Failure, Outcome};

/// Between the names in `ACCEL`.
const SEPARATORS: [char; 2] = [',', ' '];

/// The backends to use, and in words what was chosen and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// In the order of their use; never empty.
    pub backends: Vec<Backend>,
    /// A line for each backend, used or not.
    pub reasons: Vec<String>,
}

/// The backends for the suite: those that `ACCEL` lists, else all that work here.
///
/// # Errors
/// `ACCEL` names something that does not exist or does not work here; or nothing works here.
pub fn for_suite() -> Outcome<Choice> {
    choose(&wish(), Backend::check)
}

/// The backend for one machine: the one that `ACCEL` names, else the fastest that works here.
///
/// # Errors
/// As [`for_suite`].
pub fn for_run() -> Outcome<(Backend, Vec<String>)> {
    let wish = wish();
    let mut choice = choose(&wish, Backend::check)?;
    let backend = *choice.backends.first().ok_or_else(nothing)?;
    // Slower ones than the one that is used need no line.
    if wish.is_empty() {
        choice.reasons.truncate(ALL.iter().position(|one| *one == backend).unwrap_or(0) + 1);
    }
    Ok((backend, choice.reasons))
}

fn wish() -> String {
    std::env::var("ACCEL").unwrap_or_default()
}

/// True when `ACCEL` names this backend.
#[must_use]
pub fn asks_for(backend: Backend) -> bool {
    wish().split(SEPARATORS).any(|word| word == backend.name())
}

fn nothing() -> Failure {
    Failure::Wrong("no emulator works here: run `make setup`".into())
}

/// A wish is a list of names, with commas or spaces between them.
fn choose(wish: &str, check: impl Fn(Backend) -> Result<(), String>) -> Outcome<Choice> {
    let mut wanted: Vec<Backend> = Vec::new();
    for word in wish.split(SEPARATORS).filter(|word| !word.is_empty()) {
        for backend in named(word, &check)? {
            check(backend).map_err(|reason| Failure::Wrong(format!("ACCEL={word}: {reason}")))?;
            if !wanted.contains(&backend) {
                wanted.push(backend);
            }
        }
    }
    if !wanted.is_empty() {
        let reasons = wanted.iter().map(|backend| line(*backend, "ACCEL asks for it")).collect();
        return Ok(Choice { backends: wanted, reasons });
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

/// `kvm` is whichever of its two works.
fn named(word: &str, check: &impl Fn(Backend) -> Result<(), String>) -> Outcome<Vec<Backend>> {
    if word == "kvm" {
        let one = if check(Backend::KvmSvm).is_ok() { Backend::KvmSvm } else { Backend::KvmVtx };
        return Ok(vec![one]);
    }
    match ALL.iter().find(|backend| backend.name() == word) {
        Some(backend) => Ok(vec![*backend]),
        None => {
            let names = ALL.map(Backend::name).join(", ");
            Err(Failure::Wrong(format!("ACCEL={word}: there are kvm, {names}")))
        }
    }
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
    fn without_a_wish_all_that_work_are_used_and_the_others_have_a_reason() {
        let choice = choose("", without_kvm).unwrap();
        assert_eq!(choice.backends, [Backend::QemuSvm, Backend::BochsVtx, Backend::BochsSvm]);
        assert_eq!(choose("bochs-svm", without_kvm).unwrap().backends, [Backend::BochsSvm]);
        assert_eq!(choice.reasons[0], "kvm-vtx: not used: no /dev/kvm");
        assert_eq!(choice.reasons[2], "qemu-svm: QEMU emulates SVM; works here");
        assert_eq!(choice.reasons[4], "bochs-svm: Bochs emulates SVM; works here");
    }

    #[test]
    fn a_wish_is_taken_in_its_order() {
        let choice = choose("bochs-vtx,qemu-svm bochs-vtx", without_kvm).unwrap();
        assert_eq!(choice.backends, [Backend::BochsVtx, Backend::QemuSvm]);
    }

    #[test]
    fn kvm_stands_for_the_one_that_works() {
        let with_svm =
            |backend| if backend == Backend::KvmVtx { Err("SVM here".into()) } else { Ok::<_, String>(()) };
        assert_eq!(choose("kvm", with_svm).unwrap().backends, [Backend::KvmSvm]);
    }

    #[test]
    fn a_wish_that_cannot_be_met_says_why() {
        let failure = |wish| choose(wish, without_kvm).unwrap_err().to_string();
        assert_eq!(failure("kvm"), "ACCEL=kvm: no /dev/kvm");
        assert!(failure("xen").starts_with("ACCEL=xen: there are kvm, kvm-vtx, "));
    }
}
