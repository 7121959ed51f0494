//! Gives the linker the memory layout of a guest; on the host nothing is linked by it.

fn main() {
    println!("cargo:rerun-if-changed=guest.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        println!("cargo:rustc-link-arg-bins=-T{folder}/guest.ld");
        println!("cargo:rustc-link-arg-bins=--no-rosegment");
        // A guest is loaded by a BIOS in an emulator: every kilobyte of symbols costs time.
        println!("cargo:rustc-link-arg-bins=--strip-all");
    }
}
