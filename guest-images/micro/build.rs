//! Passes the guests' linker script to the linker; builds for the host do not use it.

fn main() {
    println!("cargo:rerun-if-changed=guest.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        println!("cargo:rustc-link-arg-bins=-T{folder}/guest.ld");
        println!("cargo:rustc-link-arg-bins=--no-rosegment");
        // A BIOS in an emulator loads the guest: every kilobyte of symbols costs time.
        println!("cargo:rustc-link-arg-bins=--strip-all");
    }
}
