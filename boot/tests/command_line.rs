//! The tool from its users' point of view: arguments in, files and messages out.

use config::{Bundle, FileId};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GUEST: &str = "[[vm]]\nname = \"a\"\nmemory = 64\nkernel = \"guest\"\n";

/// Makes a folder for one test, with a guest's kernel and a configuration.
fn folder(test: &str, configuration: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("guest"), b"\x7fELF guest").unwrap();
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
    assert_eq!(String::from_utf8_lossy(&output.stdout), "weir.toml: configuration OK: 1 guest, 0 NICs\n");
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
    assert_eq!(bundle.file(FileId(0)), b"\x7fELF guest");
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
    ] {
        let output = boot(&folder, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn the_examples_have_no_errors_except_images_that_are_not_built() {
    for example in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = example.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Err(errors) = config::text::read(&path, &text) else { continue };
        for error in errors {
            assert!(
                error.message.contains("target/guest/linux") && error.message.contains("cannot read"),
                "{error}"
            );
        }
    }
}
