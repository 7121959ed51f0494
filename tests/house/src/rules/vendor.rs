//! `vendor-name`: only the place that chooses a vendor names one.

use crate::source::Source;
use crate::violation::Violation;

/// Names of `vmx` and `svm` in the code of `kernel/src` outside their folders and outside `places`.
#[must_use]
pub fn check(sources: &[Source], places: &[(&str, &str)]) -> Vec<Violation> {
    let is_neutral = |source: &&Source| {
        let path = &source.path;
        let folders = ["kernel/src/virt/vmx/", "kernel/src/virt/svm/"];
        path.starts_with("kernel/src/") && !folders.iter().any(|folder| path.starts_with(folder))
    };
    let mut found = Vec::new();
    for source in sources.iter().filter(is_neutral) {
        let places: Vec<_> =
            places.iter().filter(|(path, _)| *path == source.path).map(|(_, item)| *item).collect();
        let functions = functions(source);
        for (index, token) in source.tokens.iter().enumerate() {
            if !matches!(token.text.as_str(), "vmx" | "svm") {
                continue;
            }
            let is_declared = index > 0 && source.at(index - 1) == "mod" && places.contains(&"mod");
            let around = |(name, start, end): &(&str, usize, usize)| {
                (*start..=*end).contains(&index) && places.contains(name)
            };
            if !is_declared && !functions.iter().any(around) {
                let text = format!(
                    "{} is named outside its folder: use the traits of kernel/src/virt/mod.rs",
                    token.text
                );
                found.push(Violation::new(&source.path, token.line, "vendor-name", text));
            }
        }
    }
    found
}

/// Name, first and last token of each function.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let starts = (0..source.tokens.len()).filter(|index| source.at(*index) == "fn");
    let with_body = starts.filter_map(|start| {
        let open = source.header_end(start);
        (source.at(open) == "{").then(|| (source.at(start + 1), start, source.tokens[open].pair))
    });
    with_body.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: &[(&str, &str)] =
        &[("kernel/src/virt/mod.rs", "mod"), ("kernel/src/virt/mod.rs", "choose")];

    fn said(path: &str, text: &str) -> Vec<String> {
        let sources = [Source::new(path, text).expect("Rust")];
        check(&sources, PLACES).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_vendor_outside_its_folder_is_named_with_its_line() {
        let said = said("kernel/src/vm/mod.rs", "\nuse crate::virt::vmx::Vcpu;");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("kernel/src/vm/mod.rs:2: vendor-name: vmx is named outside its folder"));
    }

    #[test]
    fn comments_strings_and_longer_names_are_no_names() {
        assert!(
            said("kernel/src/vm/mod.rs", "// vmx\n/// svm\nconst A: &str = \"svm\"; fn vmx_like() {}")
                .is_empty()
        );
    }

    #[test]
    fn the_declared_places_may_name_them() {
        let text = "mod vmx; mod svm; fn choose() { if vmx::present() { run::<svm::Vcpu>() } }";
        assert!(said("kernel/src/virt/mod.rs", text).is_empty());
        assert_eq!(said("kernel/src/virt/mod.rs", "fn other() { vmx::present() }").len(), 1);
        assert_eq!(said("kernel/src/virt/exit.rs", text).len(), 4);
        assert!(said("kernel/src/virt/svm/vcpu.rs", "use super::super::svm;").is_empty());
    }
}
