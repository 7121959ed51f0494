//! The tool as its users see it: arguments in, files and messages out.

use config::{Bundle, FileId};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GUEST: &str = "[[vm]]\nname = \"a\"\nmemory = 64\nkernel = \"guest\"\n";

/// A folder of its own for each test, with a guest's kernel and a configuration.
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

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_sound_configuration_is_said_to_have_no_mistakes() {
    let output = boot(&folder("sound", GUEST), &["check", "weir.toml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no mistakes"));
}

#[test]
fn every_mistake_stands_on_a_line_of_its_own() {
    let wrong = GUEST.replace("64", "63").replace("guest", "gone");
    let output = boot(&folder("mistakes", &wrong), &["check", "weir.toml"]);
    assert!(!output.status.success());
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("weir.toml:3: vm[0].memory: "), "{said}");
    assert!(lines[1].starts_with("weir.toml:4: vm[0].kernel: "), "{said}");
    assert_eq!(lines[2], "boot: weir.toml: 2 mistakes");
}

#[test]
fn all_images_are_made_and_carry_the_guest() {
    let folder = folder("images", GUEST);
    // Any executable will do as the kernel: nothing runs it here.
    let kernel = env!("CARGO_BIN_EXE_boot");
    let output = boot(&folder, &["image", "weir.toml", "--kernel", kernel, "--out", "out"]);
    assert!(output.status.success(), "{}", said(&output));
    for image in ["weir-bios.img", "weir-uefi.img"] {
        let bytes = fs::read(folder.join("out").join(image)).unwrap();
        assert!(bytes.windows(8).any(|window| window == b"WEIRBNDL"), "{image}");
    }
    let ramdisk = fs::read(folder.join("out/pxe/ramdisk")).unwrap();
    let bundle = Bundle::parse(&ramdisk).unwrap();
    assert_eq!(bundle.system().vms[0].memory_bytes, 64 << 20);
    assert_eq!(bundle.file(FileId(0)), b"\x7fELF guest");
    let stripped = fs::metadata(folder.join("out/pxe/kernel-x86_64")).unwrap().len();
    let whole = fs::metadata(folder.join("out/weir.elf")).unwrap().len();
    assert!(stripped < whole, "{stripped} {whole}");
}

#[test]
fn only_the_images_asked_for_are_made() {
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
fn what_is_missing_is_named() {
    let folder = folder("missing", GUEST);
    for (arguments, expected) in [
        (&["image", "weir.toml", "--out", "out"][..], "--kernel is missing"),
        (&["image", "weir.toml", "--kernel", "guest"], "--out is missing"),
        (&["image", "weir.toml", "--kernel", "nowhere", "--out", "out"], "strip nowhere failed"),
        (&["check", "nowhere"], "nowhere cannot be read"),
        (&["inspect", "weir.toml"], "boot --help"),
        (&["check", "weir.toml", "--loud"], "--loud"),
    ] {
        let output = boot(&folder, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn the_examples_have_no_mistakes_but_images_that_are_not_built() {
    for example in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = example.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Err(mistakes) = config::text::read(&path, &text) else { continue };
        for mistake in mistakes {
            assert!(
                mistake.message.contains("target/guest/linux") && mistake.message.contains("cannot be read"),
                "{mistake}"
            );
        }
    }
}
