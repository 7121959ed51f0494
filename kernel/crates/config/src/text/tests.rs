mod team;

use super::*;
use crate::{FileId, HostConfig, LogLevel, MAX_VMS, NicMatch, Restart, SelfTest, UplinkLink};

/// Reads a configuration in a folder with a file `k`, which has the magic number of an ELF kernel, and a file
/// `text`.
fn read_text(text: &str) -> Result<LoadedConfig, Vec<String>> {
    let folder = std::env::temp_dir().join(format!(
        "weir-config-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("k"), "\x7fELF").unwrap();
    std::fs::write(folder.join("text"), "no kernel").unwrap();
    let file = folder.join("weir.toml");
    let relative = |error: ConfigError| error.to_string().replace(&format!("{}/", folder.display()), "");
    let read = read(&file, text).map_err(|errors| errors.into_iter().map(relative).collect());
    std::fs::remove_dir_all(folder).unwrap();
    read
}

/// Checks that exactly these errors are reported, by the beginnings of their messages.
fn assert_errors(text: &str, expected: &[&str]) {
    let errors = read_text(text).unwrap_err();
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(expected) {
        assert!(error.starts_with(start), "{error}\nshould start with\n{start}");
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
    assert_eq!((vm.priority, read.system.teams.len()), (3, 0));
}

#[test]
fn every_field_is_understood() {
    let text = "[host]\nlog_level = \"debug\"\nsmt = true\nself_test = \"panic\"\n[[nic]]\nname = \"n0\"\npci = \"00:1f.7\"\n[[nic]]\nname = \"n1\"\nids = \"8086:100e\"\n\
        [[vm]]\nname = \"a\"\nmemory = 128\nkernel = \"k\"\ninitrd = \"k\"\ncmdline = \"x y\"\n\
        cpu = 3\nshares = 0x100\npriority = 7\nrestart = \"never\"\nautostart = false\n\
        [[vm.vnic]]\nmodel = \"82540EM\"\nmac = \"52:54:00:00:00:01\"\nuplink = \"n1\"\n[[vm.vnic]]\nuplink_link = \"up\"\nrx_fcs = true\nalways_insert_fcs = true\nprotect_eeprom = true\n";
    let read = read_text(text).unwrap();
    let system = &read.system;
    assert_eq!(
        system.host,
        HostConfig { log_level: LogLevel::Debug, smt: true, self_test: Some(SelfTest::Panic) }
    );
    assert_eq!(system.nics[0].matches, NicMatch::Address { bus: 0, device: 0x1f, function: 7 });
    assert_eq!(system.nics[1].matches, NicMatch::Ids { vendor: 0x8086, device: 0x100e });
    let vm = &system.vms[0];
    assert_eq!((vm.kernel, vm.initrd), (FileId(0), Some(FileId(0))));
    assert_eq!((vm.cpu, vm.shares, vm.restart, vm.autostart), (Some(3), 256, Restart::Never, false));
    assert_eq!(vm.priority, 7);
    assert_eq!(vm.vnics[0].uplink.as_deref(), Some("n1"));
    assert_eq!(vm.vnics[1].uplink, None);
    assert_eq!([0, 1].map(|index| vm.vnics[index].uplink_link), [UplinkLink::Follow, UplinkLink::Up]);
    assert_eq!(vm.vnics[1].mac.0[0], 2);
    let choices = |index: usize| {
        let vnic = &vm.vnics[index];
        [vnic.rx_fcs, vnic.always_insert_fcs, vnic.protect_eeprom]
    };
    assert_eq!((choices(0), choices(1)), ([false; 3], [true; 3]));
}

#[test]
fn no_guest_may_have_the_name_of_the_shell() {
    assert_errors(
        "[[vm]]\nname = \"weir\"\nmemory = 64\nkernel = \"k\"\n",
        &["weir.toml:2: vm[0].name: \"weir\" is reserved for the shell"],
    );
}

#[test]
fn every_error_is_reported_with_its_line_and_field() {
    assert_errors(
        "[[nic]]\nname = \"n 0\"\npci = \"0:20.0\"\n[[vm]]\nname = \"a\"\nmemory = 63\nkernel = \"gone\"\n\
         [[vm.vnic]]\nmac = \"01:00:00:00:00:01\"\nuplink = \"n1\"\n[[vm]]\nname = \"a\"\nmemory = \"2T\"\nkernel = \"text\"\n",
        &[
            "weir.toml:2: nic[0].name: \"n 0\" is not a name of 1 to 16 letters, digits, '-' and '_'",
            "weir.toml:3: nic[0].pci: \"0:20.0\" is not bus:device.function in hexadecimal",
            "weir.toml:6: vm[0].memory: invalid memory size: expected a multiple of 2 MiB from 16 MiB",
            "weir.toml:7: vm[0].kernel: cannot read gone: No such file",
            "weir.toml:9: vm[0].vnic[0].mac: 01:00:00:00:00:01 is not a unicast address: the first byte must be even",
            "weir.toml:10: vm[0].vnic[0].uplink: no [[team]] or [[nic]] is named \"n1\" (known NICs: \"n 0\")",
            "weir.toml:12: vm[1].name: duplicate VM name \"a\", first used on line 5",
            "weir.toml:13: vm[1].memory: invalid memory size",
            "weir.toml:14: vm[1].kernel: text is neither a Linux bzImage nor an ELF executable",
        ],
    );
}

#[test]
fn unknown_fields_are_reported_everywhere_with_the_nearest_known_one() {
    assert_errors(
        "speed = 1\n[host]\nlog_levle = \"info\"\n[[vm]]\nname = \"a\"\nmemory = 64\nkernel = \"k\"\nmemmory = 1\n\
         [[vm.vnic]]\nsurprise = {}\n",
        &[
            "weir.toml:1: speed: unknown field (known fields: host, nic, team, vm)",
            "weir.toml:3: host.log_levle: unknown field, did you mean log_level? (known fields: log_level, smt, self_test)",
            "weir.toml:8: vm[0].memmory: unknown field, did you mean memory? (known fields: name, memory, kernel",
            "weir.toml:10: vm[0].vnic[0].surprise: unknown field (known fields: model, mac, uplink, uplink_link, rx_fcs, always_insert_fcs, protect_eeprom)",
        ],
    );
}

#[test]
fn missing_fields_are_reported_at_their_table() {
    assert_errors(
        "[[nic]]\n\n[[vm]]\n",
        &[
            "weir.toml:1: nic[0].name: missing: expected a name of 1 to 16 letters",
            "weir.toml:3: vm[0].name: missing: expected a name of 1 to 16 letters",
            "weir.toml:3: vm[0].memory: missing: expected a multiple of 2 MiB",
            "weir.toml:3: vm[0].kernel: missing: expected the path of a Linux bzImage or an ELF executable",
        ],
    );
}

#[test]
fn values_of_the_wrong_type_are_reported() {
    assert_errors(
        "nic = 1\nhost = [1]\n[[vm]]\nname = 7\nmemory = -64\nkernel = true\ncmdline = \"a\\nb\"\nvnic = [1]\n",
        &[
            "weir.toml:1: nic: expected tables, each with its own [[nic]] heading",
            "weir.toml:2: host: expected one table with the heading [host]",
            "weir.toml:4: vm[0].name: expected a string with a name of 1 to 16 letters, digits, '-' and '_', but found an integer",
            "weir.toml:5: vm[0].memory: invalid memory size",
            "weir.toml:6: vm[0].kernel: expected a string with the path of a Linux bzImage or an ELF executable, but found a boolean",
            "weir.toml:7: vm[0].cmdline: the command line must be one line, and the control character \\u{a} is not allowed in it",
            "weir.toml:8: vm[0].vnic: expected tables, each with its own [[vm.vnic]] heading",
        ],
    );
}

#[test]
fn an_unknown_word_is_reported_with_the_known_ones() {
    assert_errors(
        &format!("[host]\nlog_level = \"loud\"\n{GUEST}[[vm.vnic]]\nmodel = \"ne2000\"\n"),
        &[
            "weir.toml:2: host.log_level: \"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\"",
            "weir.toml:8: vm[0].vnic[0].model: \"ne2000\" is not one of \"82540EM\"",
        ],
    );
}

#[test]
fn invalid_toml_is_reported_by_line() {
    let errors = read_text("[host]\nlog_level = \n[[vm]\n").unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("weir.toml:2: invalid TOML: "), "{errors:?}");
    assert!(errors[1].starts_with("weir.toml:3: invalid TOML: "), "{errors:?}");
}

#[test]
fn a_physical_nic_is_selected_once_and_in_one_way() {
    let nics = "[[nic]]\nname = \"n0\"\npci = \"00:0A.0\"\nids = \"8086:100e\"\n[[nic]]\nname = \"n1\"\npci = \"00:0a.0\"\n";
    assert_errors(
        &format!("{nics}{GUEST}"),
        &[
            "weir.toml:4: nic[0].ids: pci and ids cannot both be given",
            "weir.toml:7: nic[1].pci: duplicate PCI address \"00:0a.0\", first used on line 3",
        ],
    );
}

#[test]
fn one_mac_address_for_two_vnics_is_refused() {
    let vnic = "[[vm.vnic]]\nmac = \"52:54:00:00:00:01\"\n";
    assert_errors(
        &format!("{GUEST}{vnic}{vnic}"),
        &[
            "weir.toml:8: vm[0].vnic[1].mac: duplicate MAC address \"52:54:00:00:00:01\", first used on line 6",
        ],
    );
    let vnic = "{ mac = \"52:54:00:00:00:01\" }";
    assert_errors(
        &format!("{GUEST}vnic = [{vnic}, {vnic}]\n"),
        &[
            "weir.toml:5: vm[0].vnic[1].mac: duplicate MAC address \"52:54:00:00:00:01\", first used on line 5",
        ],
    );
}

#[test]
fn no_guest_and_too_many_of_anything_are_refused() {
    assert_errors("", &["weir.toml:1: vm: no guest is configured"]);
    let guest = |n: usize| GUEST.replace("\"a\"", &format!("\"a{n}\""));
    let many: String = (0..=MAX_VMS).map(guest).collect();
    assert_errors(&many, &["weir.toml:61: vm[15]: too many guests: 16 (at most 15)"]);
    assert_errors(
        &(guest(0) + &"[[vm.vnic]]\n".repeat(9)),
        &["weir.toml:13: vm[0].vnic[8]: too many vNICs: 9 (at most 8)"],
    );
    assert_errors(
        &[0, 1].map(|n| guest(n) + &"[[vm.vnic]]\n".repeat(8)).concat(),
        &["weir.toml:24: vm[1].vnic[7]: too many vNICs without an uplink (at most 15)"],
    );
    assert_errors(
        &[0, 1].map(|n| guest(n) + &"[[vm.vnic]]\nuplink = \"n\"\n".repeat(8)).concat().replacen(
            "[[vm]]",
            "[[nic]]\nname = \"n\"\n[[vm]]",
            1,
        ),
        &["weir.toml:41: vm[1].vnic[7]: too many vNICs on this uplink (at most 15)"],
    );
    let nics: String = (0..9).map(|n| format!("[[nic]]\nname = \"n{n}\"\n")).collect();
    assert_errors(&(nics + GUEST), &["weir.toml:17: nic[8]: too many physical NICs: 9 (at most 8)"]);
}

#[test]
fn a_command_line_has_a_maximum_length() {
    let with = |length: usize| format!("{GUEST}cmdline = \"{}\"\n", "x".repeat(length));
    assert_eq!(read_text(&with(2047)).unwrap().system.vms[0].command_line.len(), 2047);
    assert_errors(
        &with(2048),
        &["weir.toml:5: vm[0].cmdline: the command line has 2048 bytes, and at most 2047 are allowed"],
    );
}

#[test]
fn the_fields_for_scheduling_and_restart_are_checked() {
    assert_errors(
        &format!("{GUEST}cpu = 64\nshares = 9\nrestart = \"always\"\nautostart = \"yes\"\npriority = 8\n"),
        &[
            "weir.toml:5: vm[0].cpu: expected a core number from 0 to 63",
            "weir.toml:6: vm[0].shares: expected a number from 10 to 10000",
            "weir.toml:7: vm[0].restart: \"always\" is not one of \"never\", \"on-crash\"",
            "weir.toml:8: vm[0].autostart: expected true or false, without quotes, but found a string",
            "weir.toml:9: vm[0].priority: expected a number from 0 to 7, of which 7 is the most important",
        ],
    );
    assert_errors(
        &format!("{GUEST}cpu = -1\nshares = \"1000\"\n"),
        &["weir.toml:5: vm[0].cpu: expected a core number", "weir.toml:6: vm[0].shares: expected a number"],
    );
}

#[test]
fn what_a_check_of_the_images_finds_is_reported_at_the_guests_field() {
    let folder = std::env::temp_dir().join(format!("weir-config-images-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("k"), "\x7fELF").unwrap();
    let second = GUEST.replace("\"a\"", "\"b\"").replace("64M", "63M");
    let third = GUEST.replace("\"a\"", "\"c\"") + "initrd = \"k\"\n";
    let text = format!("{GUEST}{second}{third}");
    let seen = std::cell::RefCell::new(Vec::new());
    let errors = read_with(&folder.join("weir.toml"), &text, &|images| {
        seen.borrow_mut().push((images.vm.name.clone(), images.initrd.map(Path::to_path_buf)));
        let field = if images.initrd.is_some() { GuestField::Initrd } else { GuestField::CommandLine };
        Err(GuestProblem { field, message: format!("{} is bad", images.kernel.display()) })
    });
    let said: Vec<String> = errors.unwrap_err().iter().map(|e| format!("{}: {}", e.line, e.field)).collect();
    // Without the field, its table is the place; a guest with errors of its own is not checked.
    assert_eq!(said, ["1: vm[0].cmdline", "7: vm[1].memory", "13: vm[2].initrd"]);
    assert_eq!(*seen.borrow(), [("a".into(), None), ("c".into(), Some(folder.join("k")))]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn identities_are_derived_given_and_unique() {
    let derived = read_text(GUEST).unwrap().system.vms[0].identity.clone();
    assert_eq!((derived.uuid[6] >> 4, derived.serial.len(), derived.asset_tag.as_str()), (5, 36, ""));
    let text = "00112233-4455-6677-8899-aabbccddeeff";
    let given = format!("{GUEST}uuid = \"{text}\"\nasset_tag = \"row 7\"\n");
    let identity = read_text(&given).unwrap().system.vms[0].identity.clone();
    assert_eq!(
        (identity.uuid[3], identity.serial.as_str(), identity.asset_tag.as_str()),
        (0x33, text, "row 7")
    );
    let twice = format!("{given}{}uuid = \"{}\"\n", GUEST.replace("\"a\"", "\"b\""), text.to_uppercase());
    assert_errors(&twice, &["weir.toml:11: vm[1].uuid: duplicate UUID"]);
    assert_errors(
        &format!("{GUEST}uuid = \"42\"\nserial = \" x\"\nasset_tag = \"\u{e9}\"\n"),
        &["weir.toml:5: vm[0].uuid: ", "weir.toml:6: vm[0].serial: ", "weir.toml:7: vm[0].asset_tag: "],
    );
}
