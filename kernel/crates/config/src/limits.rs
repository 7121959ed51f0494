//! The limits that a configuration keeps: what the kernel relies on. The host tool reports errors with line and field; here
//! is what holds for a bundle, whoever made it.

use crate::{MAX_NICS, MAX_VMS, MAX_VNICS, MAX_VNICS_PER_UPLINK, System, VnicConfig};
use alloc::collections::BTreeSet;
use alloc::string::String;

/// Checks that a configuration keeps the limits.
///
/// # Errors
/// The first limit that it does not keep.
pub fn check(system: &System) -> Result<(), &'static str> {
    let System { nics, vms, .. } = system;
    let vnics = || vms.iter().flat_map(|vm| &vm.vnics);
    let known = |name: &String| nics.iter().any(|nic| nic.name == *name);
    let sharers = |one: &VnicConfig| vnics().filter(|vnic| vnic.uplink == one.uplink).count();
    let limits = [
        (vms.len() <= MAX_VMS, "too many guests"),
        (nics.len() <= MAX_NICS, "too many physical NICs"),
        (are_unique(vms.iter().map(|vm| &vm.name)), "two guests with one name"),
        (are_unique(nics.iter().map(|nic| &nic.name)), "two physical NICs with one name"),
        (vms.iter().all(|vm| vm.vnics.len() <= MAX_VNICS), "too many vNICs in a guest"),
        (are_unique(vnics().map(|vnic| vnic.mac)), "two vNICs with one MAC address"),
        (vnics().all(|vnic| !vnic.mac.is_multicast()), "a vNIC with a group address"),
        (vnics().filter_map(|vnic| vnic.uplink.as_ref()).all(known), "a vNIC with an unknown uplink"),
        (vnics().all(|vnic| sharers(vnic) <= MAX_VNICS_PER_UPLINK), "too many vNICs with one uplink"),
    ];
    limits.into_iter().find(|(keeps, _)| !keeps).map_or(Ok(()), |(_, broken)| Err(broken))
}

fn are_unique<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;
    use std::path::Path;

    /// Two guests with a vNIC each.
    fn system() -> System {
        let folder = std::env::temp_dir().join(format!("weir-config-limits-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("k"), "\x7fELF").unwrap();
        let guest = |name| {
            format!("[[vm]]\nname = \"{name}\"\nmemory = 64\nkernel = \"k\"\n[[vm.vnic]]\nuplink = \"n\"\n")
        };
        let text = format!("[[nic]]\nname = \"n\"\n{}{}", guest("a"), guest("b"));
        let read = text::read(&folder.join(Path::new("weir.toml")), &text).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        read.system
    }

    /// What is said of the system after a change.
    fn after(change: impl FnOnce(&mut System)) -> Result<(), &'static str> {
        let mut system = system();
        change(&mut system);
        check(&system)
    }

    #[test]
    fn what_no_checked_file_says_is_refused() {
        assert_eq!(after(|_| ()), Ok(()));
        assert_eq!(after(|system| system.vms.clear()), Ok(()), "the shell is there without guests");
        let many = |system: &mut System| system.vms = (0..33).map(|_| system.vms[0].clone()).collect();
        assert_eq!(after(many), Err("too many guests"));
        let nics = |system: &mut System| system.nics = (0..9).map(|_| system.nics[0].clone()).collect();
        assert_eq!(after(nics), Err("too many physical NICs"));
        assert_eq!(after(|system| system.vms[1].name = "a".into()), Err("two guests with one name"));
        assert_eq!(
            after(|system| system.nics.push(system.nics[0].clone())),
            Err("two physical NICs with one name")
        );
        let one_mac = |system: &mut System| system.vms[1].vnics[0].mac = system.vms[0].vnics[0].mac;
        assert_eq!(after(one_mac), Err("two vNICs with one MAC address"));
        assert_eq!(after(|system| system.vms[0].vnics[0].mac.0[0] |= 1), Err("a vNIC with a group address"));
        assert_eq!(after(|system| system.nics.clear()), Err("a vNIC with an unknown uplink"));
        let with = |counts: [usize; 3]| {
            move |system: &mut System| {
                let (vm, mut mac) = (system.vms[0].clone(), 0);
                system.vms = (0..)
                    .map(|index| crate::VmConfig { name: format!("{index}"), ..vm.clone() })
                    .take(3)
                    .collect();
                for (vm, count) in system.vms.iter_mut().zip(counts) {
                    let mut vnic = vm.vnics[0].clone();
                    let next = || {
                        mac += 1;
                        vnic.mac.0[5] = mac;
                        vnic.clone()
                    };
                    vm.vnics = core::iter::repeat_with(next).take(count).collect();
                }
            }
        };
        assert_eq!(after(with([9, 0, 0])), Err("too many vNICs in a guest"));
        assert_eq!(after(with([8, 7, 0])), Ok(()));
        assert_eq!(after(with([8, 7, 1])), Err("too many vNICs with one uplink"));
    }
}
