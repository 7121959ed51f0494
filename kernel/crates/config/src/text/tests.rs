use super::*;

/// A folder with one file `k`, and a configuration there.
fn read_text(text: &str) -> Result<Configuration, Vec<String>> {
    let folder = std::env::temp_dir().join(format!("weir-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("k"), "kernel").unwrap();
    let file = folder.join("weir.toml");
    let relative = |m: Mistake| m.to_string().replace(&format!("{}/", folder.display()), "");
    read(&file, text).map_err(|mistakes| mistakes.into_iter().map(relative).collect())
}

const GUEST: &str = "[[vm]]\nname = \"a\"\nmemory = \"64M\"\nkernel = \"k\"\n";

#[test]
fn the_smallest_configuration_has_one_guest() {
    let read = read_text(GUEST).unwrap();
    assert_eq!(read.system.vms[0].memory_bytes, 64 << 20);
    assert_eq!(read.files.len(), 1);
    assert!(read.system.nics.is_empty());
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = "[host]\nlog_level = \"debug\"\n[[nic]]\nname = \"n0\"\npci = \"00:1f.7\"\n[[nic]]\nname = \"n1\"\nids = \"8086:100e\"\n\
        [[vm]]\nname = \"a\"\nmemory = 128\nkernel = \"k\"\ninitrd = \"k\"\ncmdline = \"x y\"\n\
        [[vm.vnic]]\nmodel = \"82540EM\"\nmac = \"52:54:00:00:00:01\"\nuplink = \"n1\"\n[[vm.vnic]]\n";
    let read = read_text(text).unwrap();
    let system = &read.system;
    assert_eq!(system.host.log_level, LogLevel::Debug);
    assert_eq!(system.nics[0].matches, NicMatch::Address { bus: 0, device: 0x1f, function: 7 });
    assert_eq!(system.nics[1].matches, NicMatch::Ids { vendor: 0x8086, device: 0x100e });
    let vm = &system.vms[0];
    assert_eq!((vm.kernel, vm.initrd), (FileId(0), Some(FileId(0))));
    assert_eq!(vm.vnics[0].uplink.as_deref(), Some("n1"));
    assert_eq!(vm.vnics[1].uplink, None);
    assert_eq!(vm.vnics[1].mac.0[0], 2);
}

#[test]
fn every_mistake_is_named_with_its_line_and_field() {
    let text = "[[nic]]\nname = \"n 0\"\npci = \"0:20.0\"\n[[vm]]\nname = \"a\"\nmemory = 63\nkernel = \"gone\"\n\
        [[vm.vnic]]\nmac = \"01:00:00:00:00:01\"\nuplink = \"n1\"\n[[vm]]\nname = \"a\"\nmemory = \"1T\"\nkernel = \"k\"\n";
    let mistakes = read_text(text).unwrap_err();
    let expected = [
        "weir.toml:2: nic[0].name: \"n 0\" is no name",
        "weir.toml:3: nic[0].pci: \"0:20.0\" is no PCI address",
        "weir.toml:6: vm[0].memory: this is no size of a guest's memory: it is a multiple of 2 MiB",
        "weir.toml:7: vm[0].kernel: there is no file gone",
        "weir.toml:9: vm[0].vnic[0].mac: 01:00:00:00:00:01 cannot be a station's",
        "weir.toml:10: vm[0].vnic[0].uplink: no [[nic]] has the name \"n1\"; there are: n 0",
        "weir.toml:12: vm[1].name: a is the name of a guest of another one already, in line 5",
        "weir.toml:13: vm[1].memory: this is no size",
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(start), "{mistake} should start with {start}");
    }
}

#[test]
fn an_unknown_field_is_named_with_those_there_are() {
    let mistakes = read_text(&GUEST.replace("memory", "memmory")).unwrap_err();
    assert!(mistakes[0].starts_with("weir.toml:3: unknown field `memmory`, expected one of `name`, `memory`"), "{mistakes:?}");
}

#[test]
fn one_address_for_two_vnics_is_refused() {
    let vnic = "[[vm.vnic]]\nmac = \"52:54:00:00:00:01\"\n";
    let mistakes = read_text(&format!("{GUEST}{vnic}{vnic}")).unwrap_err();
    assert_eq!(mistakes, ["weir.toml:8: vm[0].vnic[1].mac: 52:54:00:00:00:01 is the MAC address of another one already, in line 6"]);
}

#[test]
fn no_guest_and_too_many_are_refused() {
    assert!(read_text("").unwrap_err()[0].contains("there is no guest"));
    let many: String = (0..=MAX_VMS).map(|n| GUEST.replace("\"a\"", &format!("\"a{n}\""))).collect();
    assert!(read_text(&many).unwrap_err()[0].contains("15 at most"));
}

#[test]
fn derived_addresses_differ_and_stay() {
    assert_ne!(derived_mac("a", 0), derived_mac("b", 0));
    assert_ne!(derived_mac("a", 0), derived_mac("a", 1));
    assert_eq!(derived_mac("a", 0), derived_mac("a", 0));
    assert!(!derived_mac("a", 0).is_multicast());
}
