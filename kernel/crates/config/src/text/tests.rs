use super::*;
use crate::{FileId, Host, LogLevel, MAX_VMS, NicMatch, Restart, SelfTest};

/// Reads a configuration in a folder with a file `k`, which begins as a kernel does, and a file `text`.
fn read_text(text: &str) -> Result<Configuration, Vec<String>> {
    let folder = std::env::temp_dir().join(format!(
        "weir-config-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("k"), "\x7fELF").unwrap();
    std::fs::write(folder.join("text"), "no kernel").unwrap();
    let file = folder.join("weir.toml");
    let relative = |m: Mistake| m.to_string().replace(&format!("{}/", folder.display()), "");
    let read = read(&file, text).map_err(|mistakes| mistakes.into_iter().map(relative).collect());
    std::fs::remove_dir_all(folder).unwrap();
    read
}

/// Checks that there are exactly these mistakes, by how they begin.
fn assert_mistakes(text: &str, expected: &[&str]) {
    let mistakes = read_text(text).unwrap_err();
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(start), "{mistake}\nshould start with\n{start}");
    }
}

const GUEST: &str = "[[vm]]\nname = \"a\"\nmemory = \"64M\"\nkernel = \"k\"\n";

#[test]
fn the_smallest_configuration_has_one_guest() {
    let read = read_text(GUEST).unwrap();
    assert_eq!(read.system.vms[0].memory_bytes, 64 << 20);
    assert_eq!(read.files.len(), 1);
    assert!(read.system.nics.is_empty());
    let vm = &read.system.vms[0];
    assert_eq!((vm.cpu, vm.shares, vm.restart, vm.autostart), (None, 1000, Restart::OnCrash, true));
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let text = "[host]\nlog_level = \"debug\"\nself_test = \"panic\"\n[[nic]]\nname = \"n0\"\npci = \"00:1f.7\"\n[[nic]]\nname = \"n1\"\nids = \"8086:100e\"\n\
        [[vm]]\nname = \"a\"\nmemory = 128\nkernel = \"k\"\ninitrd = \"k\"\ncmdline = \"x y\"\n\
        cpu = 3\nshares = 0x100\nrestart = \"never\"\nautostart = false\n\
        [[vm.vnic]]\nmodel = \"82540EM\"\nmac = \"52:54:00:00:00:01\"\nuplink = \"n1\"\n[[vm.vnic]]\n";
    let read = read_text(text).unwrap();
    let system = &read.system;
    assert_eq!(system.host, Host { log_level: LogLevel::Debug, self_test: Some(SelfTest::Panic) });
    assert_eq!(system.nics[0].matches, NicMatch::Address { bus: 0, device: 0x1f, function: 7 });
    assert_eq!(system.nics[1].matches, NicMatch::Ids { vendor: 0x8086, device: 0x100e });
    let vm = &system.vms[0];
    assert_eq!((vm.kernel, vm.initrd), (FileId(0), Some(FileId(0))));
    assert_eq!((vm.cpu, vm.shares, vm.restart, vm.autostart), (Some(3), 256, Restart::Never, false));
    assert_eq!(vm.vnics[0].uplink.as_deref(), Some("n1"));
    assert_eq!(vm.vnics[1].uplink, None);
    assert_eq!(vm.vnics[1].mac.0[0], 2);
}

#[test]
fn the_shell_keeps_its_name_for_itself() {
    assert_mistakes(
        "[[vm]]\nname = \"weir\"\nmemory = 64\nkernel = \"k\"\n",
        &["weir.toml:2: vm[0].name: \"weir\" is how the shell calls itself"],
    );
}

#[test]
fn every_mistake_is_named_with_its_line_and_field() {
    assert_mistakes(
        "[[nic]]\nname = \"n 0\"\npci = \"0:20.0\"\n[[vm]]\nname = \"a\"\nmemory = 63\nkernel = \"gone\"\n\
         [[vm.vnic]]\nmac = \"01:00:00:00:00:01\"\nuplink = \"n1\"\n[[vm]]\nname = \"a\"\nmemory = \"2T\"\nkernel = \"text\"\n",
        &[
            "weir.toml:2: nic[0].name: \"n 0\" is no name: 1 to 16 letters",
            "weir.toml:3: nic[0].pci: \"0:20.0\" is not bus:device.function in hexadecimal",
            "weir.toml:6: vm[0].memory: this is no size of a guest's memory: a multiple of 2 MiB from 16 MiB",
            "weir.toml:7: vm[0].kernel: gone cannot be read: No such file",
            "weir.toml:9: vm[0].vnic[0].mac: 01:00:00:00:00:01 cannot be a station's",
            "weir.toml:10: vm[0].vnic[0].uplink: no [[nic]] has the name \"n1\": there are \"n 0\"",
            "weir.toml:12: vm[1].name: line 5 has the name of a guest a already",
            "weir.toml:13: vm[1].memory: this is no size",
            "weir.toml:14: vm[1].kernel: text is neither a Linux bzImage nor an ELF executable",
        ],
    );
}

#[test]
fn unknown_fields_are_named_everywhere_with_the_nearest_one() {
    assert_mistakes(
        "speed = 1\n[host]\nlog_levle = \"info\"\n[[vm]]\nname = \"a\"\nmemory = 64\nkernel = \"k\"\nmemmory = 1\n\
         [[vm.vnic]]\nsurprise = {}\n",
        &[
            "weir.toml:1: speed: there is no such field: the fields here are host, nic, vm",
            "weir.toml:3: host.log_levle: there is no such field, did you mean log_level: the fields here are log_level, self_test",
            "weir.toml:8: vm[0].memmory: there is no such field, did you mean memory: the fields here are name, memory, kernel",
            "weir.toml:10: vm[0].vnic[0].surprise: there is no such field: the fields here are model, mac, uplink",
        ],
    );
}

#[test]
fn missing_fields_are_named_at_their_table() {
    assert_mistakes(
        "[[nic]]\n\n[[vm]]\n",
        &[
            "weir.toml:1: nic[0].name: it is missing: 1 to 16 letters",
            "weir.toml:3: vm[0].name: it is missing: 1 to 16 letters",
            "weir.toml:3: vm[0].memory: it is missing: a multiple of 2 MiB",
            "weir.toml:3: vm[0].kernel: it is missing: a file",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_are_named() {
    assert_mistakes(
        "nic = 1\nhost = [1]\n[[vm]]\nname = 7\nmemory = -64\nkernel = true\ncmdline = \"a\\nb\"\nvnic = [1]\n",
        &[
            "weir.toml:1: nic: each one is a table of its own, that begins with [[nic]]",
            "weir.toml:2: host: it is one table, that begins with [host]",
            "weir.toml:4: vm[0].name: integer is given: 1 to 16 letters",
            "weir.toml:5: vm[0].memory: this is no size",
            "weir.toml:6: vm[0].kernel: boolean is given: a file",
            "weir.toml:7: vm[0].cmdline: it has a \\u{a}: the kernel's command line",
            "weir.toml:8: vm[0].vnic: each one is a table of its own, that begins with [[vm.vnic]]",
        ],
    );
}

#[test]
fn words_are_named_with_those_there_are() {
    assert_mistakes(
        &format!("[host]\nlog_level = \"loud\"\n{GUEST}[[vm.vnic]]\nmodel = \"ne2000\"\n"),
        &[
            "weir.toml:2: host.log_level: \"loud\" is none of \"error\", \"warn\", \"info\", \"debug\"",
            "weir.toml:8: vm[0].vnic[0].model: \"ne2000\" is none of \"82540EM\"",
        ],
    );
}

#[test]
fn what_is_no_toml_is_named_by_line() {
    let mistakes = read_text("[host]\nlog_level = \n[[vm]\n").unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].starts_with("weir.toml:2: this is no TOML: "), "{mistakes:?}");
    assert!(mistakes[1].starts_with("weir.toml:3: this is no TOML: "), "{mistakes:?}");
}

#[test]
fn one_card_is_named_once_and_in_one_way() {
    let nics = "[[nic]]\nname = \"n0\"\npci = \"00:0A.0\"\nids = \"8086:100e\"\n[[nic]]\nname = \"n1\"\npci = \"00:0a.0\"\n";
    assert_mistakes(
        &format!("{nics}{GUEST}"),
        &[
            "weir.toml:4: nic[0].ids: pci names the card already",
            "weir.toml:7: nic[1].pci: line 3 has the PCI address 00:0a.0 already",
        ],
    );
}

#[test]
fn one_address_for_two_vnics_is_refused() {
    let vnic = "[[vm.vnic]]\nmac = \"52:54:00:00:00:01\"\n";
    assert_mistakes(
        &format!("{GUEST}{vnic}{vnic}"),
        &["weir.toml:8: vm[0].vnic[1].mac: line 6 has the MAC address 52:54:00:00:00:01 already"],
    );
    let vnic = "{ mac = \"52:54:00:00:00:01\" }";
    assert_mistakes(
        &format!("{GUEST}vnic = [{vnic}, {vnic}]\n"),
        &["weir.toml:5: vm[0].vnic[1].mac: line 5 has the MAC address 52:54:00:00:00:01 already"],
    );
}

#[test]
fn no_guest_and_too_many_of_anything_are_refused() {
    assert_mistakes("", &["weir.toml:1: vm: there is no guest"]);
    let guest = |n: usize| GUEST.replace("\"a\"", &format!("\"a{n}\""));
    let many: String = (0..=MAX_VMS).map(guest).collect();
    assert_mistakes(&many, &["weir.toml:61: vm[15]: there are 16 guests, and at most 15 are allowed"]);
    assert_mistakes(
        &(guest(0) + &"[[vm.vnic]]\n".repeat(9)),
        &["weir.toml:13: vm[0].vnic[8]: there are 9 vNICs, and at most 8 are allowed"],
    );
    assert_mistakes(
        &[0, 1].map(|n| guest(n) + &"[[vm.vnic]]\n".repeat(8)).concat(),
        &["weir.toml:24: vm[1].vnic[7]: it is one too many with this uplink: at most 15 are allowed"],
    );
    let nics: String = (0..9).map(|n| format!("[[nic]]\nname = \"n{n}\"\n")).collect();
    assert_mistakes(
        &(nics + GUEST),
        &["weir.toml:17: nic[8]: there are 9 physical NICs, and at most 8 are allowed"],
    );
}

#[test]
fn a_command_line_has_a_longest_length() {
    let with = |length: usize| format!("{GUEST}cmdline = \"{}\"\n", "x".repeat(length));
    assert_eq!(read_text(&with(2047)).unwrap().system.vms[0].command_line.len(), 2047);
    assert_mistakes(
        &with(2048),
        &["weir.toml:5: vm[0].cmdline: it has 2048 bytes: the kernel's command line, at most 2047"],
    );
}

#[test]
fn what_says_how_a_guest_runs_is_checked() {
    assert_mistakes(
        &format!("{GUEST}cpu = 64\nshares = 9\nrestart = \"always\"\nautostart = \"yes\"\n"),
        &[
            "weir.toml:5: vm[0].cpu: this is not the number of a core, 0 to 63",
            "weir.toml:6: vm[0].shares: this is not a number from 10 to 10000",
            "weir.toml:7: vm[0].restart: \"always\" is none of \"never\", \"on-crash\"",
            "weir.toml:8: vm[0].autostart: string is given: true or false, without quotes",
        ],
    );
    assert_mistakes(
        &format!("{GUEST}cpu = -1\nshares = \"1000\"\n"),
        &["weir.toml:5: vm[0].cpu: this is not", "weir.toml:6: vm[0].shares: this is not"],
    );
}
