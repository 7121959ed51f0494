//! The tool from its users' point of view: arguments in, files and messages out.

use config::{Bundle, FileId};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GUEST: &str = "[[vm]]\nname = \"a\"\nmemory = 64\nkernel = \"guest\"\n";

#[test]
fn help_is_what_the_word_and_the_option_and_nothing_say() {
    let folder = folder("help", GUEST);
    let [word, option, nothing] = [&["help"][..], &["--help"], &[]].map(|arguments| boot(&folder, arguments));
    assert!(word.status.success() && word.stdout.starts_with(b"boot check FILE"));
    assert_eq!((&word.stdout, &word.stdout), (&option.stdout, &nothing.stdout));
}

/// A static executable of three bytes at 1 MiB, which wait for ever.
fn executable() -> Vec<u8> {
    const START: u64 = 0x10_0000;
    let file_header = [0x1_003e_0002, START, 64, 0, 64 << 32 | 56 << 48, 1]; // from e_type on
    let segment = [5 << 32 | 1, 120, START, START, 3, 3, 0x1000]; // from p_type on
    let mut kernel = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    kernel.extend(file_header.into_iter().chain(segment).flat_map(u64::to_le_bytes));
    kernel.extend([0xf4, 0xeb, 0xfd]);
    kernel
}

/// A bzImage of 4 KiB that needs 8 MiB at 16 MiB, or lower.
fn bzimage() -> Vec<u8> {
    let mut image = vec![0; 0x600 + 0x1000];
    let fields: [(usize, &[u8]); 11] = [
        (0x1f1, &[2]),
        (0x1f4, &0x100u32.to_le_bytes()),
        (0x200, &[0xeb, 0x6a]),
        (0x202, b"HdrS"),
        (0x206, &0x020fu16.to_le_bytes()),
        (0x22c, &0x7fff_ffffu32.to_le_bytes()),
        (0x230, &0x20_0000u32.to_le_bytes()),
        (0x234, &[1, 0, 0x3f]),
        (0x238, &255u32.to_le_bytes()),
        (0x258, &0x100_0000u64.to_le_bytes()),
        (0x260, &0x80_0000u32.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

fn with(mut image: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

/// Makes a folder for one test, with a guest's kernel and a configuration.
fn folder(test: &str, configuration: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("guest"), executable()).unwrap();
    fs::write(folder.join("weir.toml"), configuration).unwrap();
    folder
}

fn boot(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_boot")).current_dir(folder).args(arguments).output().unwrap()
}

/// The headers of an EFI application, with room for more sections.
fn stage() -> Vec<u8> {
    let mut file = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    // Number of sections, size of the optional header, and its magic number.
    put(0x46, &0u16.to_le_bytes());
    put(0x54, &240u16.to_le_bytes());
    put(0x58, &0x20bu16.to_le_bytes());
    // Alignments in memory and in the file; sizes of the image and of the headers.
    for (at, value) in [(0x78, 4096u32), (0x7c, 512), (0x90, 4096), (0x94, 1024)] {
        put(at, &value.to_le_bytes());
    }
    file
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_valid_configuration_is_reported_as_ok() {
    let output = boot(&folder("sound", GUEST), &["check", "weir.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "weir.toml: configuration OK: 1 guest, 0 NICs\n\
         memory: guests 64 MiB, images 1 MiB, and what Weir and the firmware take\n"
    );
}

#[test]
fn what_is_used_of_the_network_is_reported() {
    let nics: String = ["a", "b"].map(|name| format!("[[nic]]\nname = \"{name}\"\n")).concat();
    for (more, expected) in [
        (nics.clone(), "1 guest, 2 NICs\n"),
        (format!("{nics}[[team]]\nname = \"lan\"\nnics = [\"a\"]\n"), "1 guest, 2 NICs, 1 team\n"),
        (format!("{nics}[[team]]\nname = \"lan\"\n"), "1 guest, all NICs, 1 team\n"),
    ] {
        let output = boot(&folder("network", &format!("{GUEST}{more}")), &["check", "weir.toml"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("configuration OK: {expected}")), "{said}");
    }
}

#[test]
fn a_contradiction_in_a_team_is_reported_with_line_and_field() {
    let team =
        "[[team]]\nname = \"lan\"\npolicy = \"ip-hash\"\nstandby = [\"nic1\"]\ngateway = \"10.0.5.1\"\n";
    let output = boot(&folder("contradiction", &format!("{team}{GUEST}")), &["check", "weir.toml"]);
    assert!(!output.status.success());
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("weir.toml:4: team[0].standby: "), "{said}");
    assert!(lines[1].starts_with("weir.toml:5: team[0].gateway: "), "{said}");
    assert_eq!(lines[2], "boot: weir.toml: 2 errors");
}

#[test]
fn every_error_is_printed_on_its_own_line() {
    let wrong = GUEST.replace("64", "63").replace("guest", "gone");
    let output = boot(&folder("errors", &wrong), &["check", "weir.toml"]);
    assert!(!output.status.success());
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("weir.toml:3: vm[0].memory: "), "{said}");
    assert!(lines[1].starts_with("weir.toml:4: vm[0].kernel: "), "{said}");
    assert_eq!(lines[2], "boot: weir.toml: 2 errors");
}

#[test]
fn all_images_are_made_and_contain_the_guest() {
    let folder = folder("images", GUEST);
    // Any executable serves as the kernel, since nothing runs it here.
    let kernel = env!("CARGO_BIN_EXE_boot");
    fs::write(folder.join("stage.efi"), stage()).unwrap();
    let arguments = ["image", "weir.toml", "--kernel", kernel, "--stage", "stage.efi", "--out", "out"];
    let output = boot(&folder, &arguments);
    assert!(output.status.success(), "{}", said(&output));
    for image in ["weir-bios.img", "weir-uefi.img", "pxe/weir.efi"] {
        let bytes = fs::read(folder.join("out").join(image)).unwrap();
        assert!(bytes.windows(8).any(|window| window == b"WEIRBNDL"), "{image} has no bundle");
    }
    let bytes = fs::read(folder.join("out/pxe/weir.efi")).unwrap();
    // The second entry of the section table: size, and place in the file.
    let entry = &bytes[0x40 + 24 + 240 + 40..];
    let field = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
    let bundle = Bundle::parse(&bytes[field(20)..][..field(8)]).unwrap();
    assert_eq!(bundle.system().vms[0].memory_bytes, 64 << 20);
    assert_eq!(bundle.file(FileId(0)), executable());
    let application = fs::metadata(folder.join("out/pxe/weir.efi")).unwrap().len();
    let whole = fs::metadata(folder.join("out/weir.elf")).unwrap().len();
    assert!(application < whole, "the symbols are stripped: {application} {whole}");
}

#[test]
fn only_the_requested_images_are_made() {
    let folder = folder("bios", GUEST);
    let kernel = env!("CARGO_BIN_EXE_boot");
    let output = boot(&folder, &["image", "weir.toml", "--kernel", kernel, "--out", "out", "--bios"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut names: Vec<_> =
        fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["weir-bios.img", "weir.elf"]);
}

#[test]
fn missing_and_invalid_arguments_are_reported() {
    let folder = folder("missing", GUEST);
    for (arguments, expected) in [
        (&["image", "weir.toml", "--out", "out"][..], "--kernel is missing"),
        (&["image", "weir.toml", "--kernel", "guest"], "--out is missing"),
        (&["image", "weir.toml", "--kernel", "nowhere", "--out", "out"], "strip nowhere failed"),
        (
            &["image", "weir.toml", "--kernel", env!("CARGO_BIN_EXE_boot"), "--out", "out"],
            "--stage is missing",
        ),
        (&["check", "nowhere"], "cannot read nowhere"),
        (&["inspect", "weir.toml"], "boot --help"),
        (&["check", "weir.toml", "--loud"], "--loud"),
        (&["check", "weir.toml", "--memory", "8"], "--memory 8: expected a size with a unit"),
    ] {
        let output = boot(&folder, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

/// A guest that the machine would not start.
struct Unusable<'a> {
    name: &'static str,
    kernel: Vec<u8>,
    /// Further lines of its table.
    more: &'a str,
    /// Line, field and beginning of the message.
    expected: &'static str,
}

fn kernel(name: &'static str, kernel: Vec<u8>, expected: &'static str) -> Unusable<'static> {
    Unusable { name, kernel, more: "", expected }
}

fn unusable_linux(long: &str) -> Vec<Unusable<'_>> {
    let large = with(bzimage(), 0x260, &0x800_0000u32.to_le_bytes());
    let no_64_bit_entry = with(bzimage(), 0x236, &[0x3e]);
    let cut = bzimage()[..0x1000].to_vec();
    vec![
        kernel("entry32", no_64_bit_entry, "4: vm[0].kernel: the kernel has no 64-bit entry point"),
        kernel(
            "old",
            with(bzimage(), 0x206, &[5, 2]),
            "4: vm[0].kernel: the kernel has Linux boot protocol 2.05",
        ),
        kernel("cut", cut, "4: vm[0].kernel: the kernel image is truncated: the protected"),
        kernel("cut_header", bzimage()[..0x230].to_vec(), "4: vm[0].kernel: the kernel image is truncated"),
        kernel(
            "large",
            large,
            "3: vm[0].memory: the kernel needs memory from 0x200000 to 0x8200000, which the guest does not have: give it at least 130 MiB",
        ),
        Unusable {
            name: "initrd",
            kernel: bzimage(),
            more: "initrd = \"initrd\"\n",
            expected: "5: vm[0].initrd: the initrd of 68157440 bytes does not fit",
        },
        Unusable {
            name: "cmdline",
            kernel: bzimage(),
            more: long,
            expected: "5: vm[0].cmdline: the command line has 256 bytes, and the kernel accepts at most 255",
        },
    ]
}

fn unusable_elf() -> Vec<Unusable<'static>> {
    let damaged = [
        ("elf32", with(executable(), 4, &[1]), "EI_CLASS is 0x1"),
        ("pie", with(executable(), 16, &[3]), "e_type is 0x3"),
        ("arm", with(executable(), 18, &[183]), "e_machine is 0xb7"),
        ("tiny", b"\x7fELF guest".to_vec(), "EI_CLASS is 0x20"),
    ];
    let elf = damaged.into_iter().map(|(name, image, field)| {
        let expected = format!("4: vm[0].kernel: the ELF executable cannot be started: {field}");
        kernel(name, image, expected.leak())
    });
    let cut = executable()[..122].to_vec();
    elf.chain([kernel("cut_elf", cut, "4: vm[0].kernel: the kernel image is truncated: a segment")]).collect()
}

#[test]
fn what_the_machine_would_refuse_is_refused_with_line_and_field() {
    let long = format!("cmdline = \"{}\"\n", "a".repeat(256));
    for Unusable { name, kernel, more, expected } in unusable_linux(&long).into_iter().chain(unusable_elf()) {
        let folder = folder(&format!("unusable_{name}"), &format!("{GUEST}{more}"));
        fs::write(folder.join("guest"), kernel).unwrap();
        // More than the guest's memory.
        fs::write(folder.join("initrd"), vec![1; 65 << 20]).unwrap();
        let kernel = env!("CARGO_BIN_EXE_boot");
        let image = ["image", "weir.toml", "--kernel", kernel, "--out", "out", "--bios"];
        for arguments in [&["check", "weir.toml"][..], &image] {
            let output = boot(&folder, arguments);
            let said = said(&output);
            assert!(!output.status.success(), "{name}");
            assert!(said.starts_with(&format!("weir.toml:{expected}")), "{name}: {said}");
            assert_eq!(said.lines().last(), Some("boot: weir.toml: 1 error"), "{name}: {said}");
        }
        assert!(!folder.join("out").exists());
    }
}

#[test]
fn an_image_can_be_made_of_guests_that_are_left_to_the_machine_to_refuse() {
    let folder = folder("unchecked", GUEST);
    fs::write(folder.join("guest"), with(executable(), 16, &[3])).unwrap();
    let kernel = env!("CARGO_BIN_EXE_boot");
    let image = ["image", "weir.toml", "--kernel", kernel, "--out", "out", "--bios", "--unchecked"];
    let output = boot(&folder, &image);
    assert!(output.status.success(), "{}", said(&output));
    assert!(folder.join("out/weir-bios.img").exists());
}

#[test]
fn guests_that_start_are_accepted() {
    let more = "initrd = \"initrd\"\ncmdline = \"quiet\"\n";
    let folder = folder("usable", &format!("{GUEST}{more}"));
    fs::write(folder.join("initrd"), vec![1; 20 << 20]).unwrap();
    for kernel in [bzimage(), executable()] {
        fs::write(folder.join("guest"), kernel).unwrap();
        let output = boot(&folder, &["check", "weir.toml"]);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn the_memory_of_all_guests_and_images_is_compared_with_the_machines() {
    let second = GUEST.replace("\"a\"", "\"b\"").replace("64", "\"6G\"");
    let folder = folder("memory", &format!("{GUEST}{second}"));
    let output = boot(&folder, &["check", "weir.toml", "--memory", "8G"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("memory: guests 6208 MiB, images 1 MiB"));
    let output = boot(&folder, &["check", "weir.toml", "--memory", "6208M"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("more than the machine's 6208 MiB"), "{}", said(&output));
}

#[test]
fn the_examples_have_no_errors_except_images_that_are_not_built() {
    for example in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = example.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Err(errors) = config::text::read(&path, &text) else { continue };
        for error in errors {
            assert!(
                error.message.contains("target/guest/") && error.message.contains("cannot read"),
                "{error}"
            );
        }
    }
}
