//! The tables behind the rules, with reasons. An entry of [`EXCEPTIONS`] or [`VENDOR_PLACES`] that is no longer needed is
//! a violation too.

/// Folders of `kernel/src`, from the ground up: a folder imports only those of earlier lines, and those of one line do
/// not import each other. The files of `kernel/src` itself stand above all of them, and no folder imports them.
pub const FOLDERS: &[(&[&str], &str)] = &[
    (&["processor"], "instructions and tables of a core: everything runs on one"),
    (&["log"], "everything above may log, and it needs a processor alone"),
    (&["memory"], "frames, heap and mappings, before there are devices"),
    (&["hardware"], "the machine: firmware tables, PCI, interrupts"),
    (&["virt"], "the virtual processor, which knows nothing of the guest that it belongs to"),
    (&["meeting"], "where cores and frames meet: ground for guests and networks"),
    (&["vm", "net"], "guests and networks are level: they meet in `meeting`"),
    (&["shell"], "reports on all of them and controls them"),
];

/// Where an identifier outside `virt/vmx` and `virt/svm` may name a vendor: a file, and the item in it: `mod` is the
/// declaration of the module, another word the function around it.
pub const VENDOR_PLACES: &[(&str, &str)] = &[
    // The one place that chooses, and the declarations that it needs.
    ("kernel/src/virt/mod.rs", "mod"),
    ("kernel/src/virt/this_machine.rs", "with_this_machine"),
];

/// What a package may depend on.
pub struct Knows {
    /// Its name.
    pub package: &'static str,
    /// Packages of the workspace that it may depend on.
    pub packages: &'static [&'static str],
    /// Further packages that its tests may use.
    pub tests: &'static [&'static str],
}

const fn knows(
    package: &'static str,
    packages: &'static [&'static str],
    tests: &'static [&'static str],
) -> Knows {
    Knows { package, packages, tests }
}

/// The direction of docs/architecture.md: the guests' NIC and the machine's NICs never see each other, the switch sees no
/// NIC and no register, and crates that take decisions see values of `base` only, so that decisions can be replayed on the
/// host.
pub const PACKAGES: &[Knows] = &[
    knows("base", &[], &[]),
    knows("intel-regs", &[], &[]),
    knows("screen", &[], &[]),
    knows("path", &["base"], &["testkit"]),
    knows("platform", &["base"], &["testkit"]),
    knows("machine", &["base"], &["testkit"]),
    knows("mmio", &["base"], &["testkit"]),
    knows("nested-paging", &["base"], &["testkit"]),
    knows("schedule", &["base"], &["testkit"]),
    // What it says of a team is what the manager of the team takes.
    knows("config", &["base", "nic-manager"], &["testkit"]),
    // Some of its commands are for teams.
    knows("shell", &["base", "nic-manager"], &["testkit"]),
    // Its tests map what it hands out.
    knows("host-memory", &["base"], &["nested-paging"]),
    knows("silicon", &["base"], &["testkit"]),
    knows("pci", &["base"], &[]),
    knows("testkit", &["base", "mmio", "path", "nic-manager"], &[]),
    knows("vnic", &["base", "intel-regs"], &["testkit"]),
    knows("nic-manager", &["base"], &["path", "testkit"]),
    // Its tests let the driver drive the model, and a switch between them.
    knows("nic", &["base", "intel-regs"], &["testkit", "vnic", "path", "nic-manager"]),
    knows(
        "weir",
        &[
            "base",
            "config",
            "host-memory",
            "machine",
            "mmio",
            "nested-paging",
            "nic",
            "nic-manager",
            "path",
            "pci",
            "platform",
            "schedule",
            "screen",
            "shell",
            "silicon",
            "vnic",
        ],
        &["testkit"],
    ),
];

/// Lines of a file.
pub const FILE_LINES: usize = 400;
/// Lines of a function from `fn` to its closing brace.
pub const FUNCTION_LINES: usize = 60;
/// Fields of a struct of the kernel.
pub const STRUCT_FIELDS: usize = 12;
/// Source lines of `kernel/src`, the code that a reader must trust.
pub const KERNEL_LINES: usize = 10_000;
/// Source lines of all code that is linked into the kernel (ADR 13).
pub const IMAGE_LINES: usize = 41_500;

/// A violation that is accepted.
pub struct Exception {
    /// Name of the rule.
    pub rule: &'static str,
    /// Its subject: a file, `file::function`, or a type's name.
    pub subject: &'static str,
    /// Why it is accepted.
    pub reason: &'static str,
}

/// Exceptions of the rules `file-length`, `function-length` and `type-name`.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    rule: "function-length",
    subject: "kernel/src/vm/exits/dispatch.rs::dispatch",
    reason: "one exhaustive match over all exits, a line or two for each: split, its reader would have to look in two places",
}];
