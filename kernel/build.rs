//! Links the kernel at the top of the address space, where `code-model = "kernel"` wants it.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=--image-base=0xffffffff80000000");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
