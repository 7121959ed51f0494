//! `vendor-name`: only the place that chooses a vendor names one. What counts are identifiers in `kernel/src` outside
//! `virt/vmx` and `virt/svm`, in tests too; comments and strings do not.

use crate::source::Source;
use crate::violation::Violation;

/// Starts of words that name a vendor, its structures or its instructions. `Ept` and `Npt` are not among them: they are
/// formats of `nested-paging`.
const WORDS: [&str; 17] = [
    "vmx", "svm", "vmcs", "vmcb", "intel", "amd", "vmread", "vmwrite", "vmlaunch", "vmresume", "vmptr",
    "vmclear", "vmrun", "vmload", "vmsave", "vmcall", "vmmcall",
];

/// A vendor's name outside its folder.
struct Name<'a> {
    path: &'a str,
    line: usize,
    text: &'a str,
    /// The functions around it, and `mod` where it declares a module.
    items: Vec<&'a str>,
}

/// Vendors' names outside `places`, and places that name none.
#[must_use]
pub fn check(sources: &[Source], places: &[(&str, &str)]) -> Vec<Violation> {
    let names: Vec<_> = sources.iter().filter(|source| is_neutral(&source.path)).flat_map(names).collect();
    let accepts =
        |(path, item): &(&str, &str), name: &Name<'_>| *path == name.path && name.items.contains(item);
    let refused = names.iter().filter(|name| !places.iter().any(|place| accepts(place, name)));
    let refused = refused.map(|name| {
        let text = format!("{} is named outside its folder: use the traits of kernel/src/virt", name.text);
        Violation::new(name.path, name.line, "vendor-name", text)
    });
    let idle = places.iter().filter(|place| !names.iter().any(|name| accepts(place, name)));
    let idle = idle.map(|(path, item)| {
        let text = format!("the place {item} of {path} names no vendor: remove it from VENDOR_PLACES");
        Violation::new("tests/house/src/tables.rs", 1, "vendor-name", text)
    });
    refused.chain(idle).collect()
}

/// True for files of `kernel/src` outside the vendors' folders.
fn is_neutral(path: &str) -> bool {
    let folders = ["kernel/src/virt/vmx/", "kernel/src/virt/svm/"];
    path.starts_with("kernel/src/") && !folders.iter().any(|folder| path.starts_with(folder))
}

/// Every vendor's name in `source`.
fn names(source: &Source) -> Vec<Name<'_>> {
    let functions = functions(source);
    let mut names = Vec::new();
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| names_vendor(&token.text)) {
        let around = functions.iter().filter(|(_, start, end)| (*start..=*end).contains(&index));
        let mut items: Vec<_> = around.map(|(name, ..)| *name).collect();
        if index > 0 && source.at(index - 1) == "mod" {
            items.push("mod");
        }
        names.push(Name { path: &source.path, line: token.line, text: &token.text, items });
    }
    names
}

/// True for an identifier in which a part, as `_` separates them, begins with one of [`WORDS`], written `vmx`, `Vmx` or
/// `VMX`.
fn names_vendor(token: &str) -> bool {
    let token = token.trim_start_matches("r#");
    let is_identifier = token.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    let begins = |part: &str| {
        WORDS.iter().any(|word| {
            let capitals = word.to_uppercase();
            let capitalised = format!("{}{}", &capitals[..1], &word[1..]);
            [word, capitals.as_str(), &capitalised].iter().any(|word| part.starts_with(word))
        })
    };
    is_identifier && token.split('_').any(begins)
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
        let found = check(&sources, PLACES).into_iter().filter(|violation| violation.path == path);
        found.map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn a_vendor_outside_its_folder_is_named_with_its_line() {
        let said = said("kernel/src/vm/mod.rs", "\nuse crate::virt::vmx::Vcpu;");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("kernel/src/vm/mod.rs:2: vendor-name: vmx is named outside its folder"));
    }

    #[test]
    fn comments_strings_and_other_words_are_no_names() {
        let text = "// vmx\n/// svm\nconst A: &str = \"svm a_vmx\"; fn ramdisk(b: VmRun) { c(b\"_svm\", Ept, Npt, vm_load) }";
        assert!(said("kernel/src/vm/mod.rs", text).is_empty());
    }

    #[test]
    fn longer_names_that_begin_with_a_vendor_or_its_structures_count() {
        for name in [
            "vmx_like",
            "VmxVcpu",
            "SvmExit",
            "Vmcs",
            "VMCB_CLEAN",
            "has_svm",
            "vmread",
            "is_amd",
            "r#vmx",
            "IntelCpu",
        ] {
            assert_eq!(said("kernel/src/vm/mod.rs", &format!("fn f() {{ {name}() }}")).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_place_that_names_no_vendor_is_a_violation() {
        let sources = [Source::new("kernel/src/virt/mod.rs", "mod vmx;").expect("Rust")];
        let found = check(&sources, PLACES);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("the place choose of kernel/src/virt/mod.rs names no vendor"));
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
