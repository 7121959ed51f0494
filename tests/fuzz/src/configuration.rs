//! The configuration as text: pieces of a configuration in any order, and arbitrary text.

use crate::Input;
use config::{Bundle, text};
use std::path::Path;

/// Pieces of configurations, valid and invalid. One ELF executable is always there: this one.
const PIECES: &[&str] = &[
    "[host]\n",
    "[[nic]]\n",
    "[[vm]]\n",
    "[[vm.vnic]]\n",
    "[vm]\n",
    "log_level = \"info\"\n",
    "log_level = \"loud\"\n",
    "self_test = \"panic\"\n",
    "name = \"a\"\n",
    "name = \"b\"\n",
    "name = \"\"\n",
    "name = 7\n",
    "pci = \"00:03.0\"\n",
    "pci = \"0:99.9\"\n",
    "ids = \"8086:100e\"\n",
    "ids = \"\u{e9}:\u{e9}\"\n",
    "memory = 64\n",
    "memory = \"64 MiB\"\n",
    "memory = \"64MiB\"\n",
    "memory = \"999999999999999999999G\"\n",
    "memory = \"17179869184GiB\"\n",
    "memory = 18446744073709551615\n",
    "memory = -1\n",
    "memory = \"\u{e9}M\"\n",
    "kernel = \"/proc/self/exe\"\n",
    "kernel = \"\"\n",
    "initrd = \"initrd\"\n",
    "cmdline = \"console=ttyS0\"\n",
    "cmdline = \"\\u0000\"\n",
    "model = \"82540EM\"\n",
    "model = \"ne2000\"\n",
    "mac = \"52:54:00:12:34:56\"\n",
    "mac = \"52:54:00:12:34:57\"\n",
    "mac = \"ff:ff:ff:ff:ff:ff\"\n",
    "mac = \"\u{1d7d8}\u{1d7d8}\"\n",
    "uplink = \"a\"\n",
    "uplink = \"nowhere\"\n",
    "# comment\n",
    "surprise = { x = [1, 2] }\n",
    "[[vm]]\nname = \"c\"\nmemory = \"64MiB\"\nkernel = \"/proc/self/exe\"\n",
    "[[vm.vnic]]\nmac = \"52:54:00:00:00:01\"\n",
    "[[team]]\n",
    "[[team]]\nname = \"team\"\n",
    "[[nic]]\nname = \"nic0\"\n",
    "[[nic]]\nname = \"nic1\"\n",
    "uplink = \"team\"\n",
    "uplink = \"nic0\"\n",
    "nics = \"all\"\n",
    "nics = [\"nic0\", \"nic1\"]\n",
    "nics = [\"a\"]\n",
    "nics = [1, []]\n",
    "standby = [\"nic1\"]\n",
    "standby = [\"\u{e9}\", \"nic1\", \"nic1\"]\n",
    "unused = [\"nic2\"]\n",
    "unused = {}\n",
    "policy = \"order\"\n",
    "policy = \"ip-hash\"\n",
    "failback = \"better\"\n",
    "up_delay = \"10 min\"\n",
    "up_delay = \"99999999999999999999 min\"\n",
    "down_delay = 600001\n",
    "down_delay = \"1\u{e9}s\"\n",
    "detection = \"beacon\"\n",
    "beacon_interval = 1\n",
    "beacon_interval = \"60 s\"\n",
    "beacon_lost = 1\n",
    "beacon_lost = 300\n",
    "beacon_vlans = [1, 4094]\n",
    "beacon_vlans = [1, 1, 0, 65541, \"2\", 3, 4, 5, 6, 7]\n",
    "gateway = \"10.0.5.1\"\n",
    "gateway = \"fe80::1%2\"\n",
    "notify = 10\n",
    "notify_spacing = \"1 s\"\n",
    "in_doubt = \"no-loss\"\n",
    "priority = 7\n",
];

/// Bytes below 0x80 choose pieces; the others are followed by text of their own.
///
/// # Panics
/// When a text is refused without an error or with an error in a line that the file does not have, or when an
/// accepted configuration changes on its way through a bundle.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mut text = String::new();
    while !input.is_empty() {
        match input.u8() {
            piece @ 0..0x80 => text.push_str(PIECES[usize::from(piece) % PIECES.len()]),
            length => text.push_str(&String::from_utf8_lossy(input.bytes(usize::from(length & 0x1f)))),
        }
    }
    match text::read(Path::new("weir.toml"), &text) {
        Ok(configuration) => {
            let files = vec![Vec::new(); configuration.files.len()];
            let bytes = config::bundle::pack(&configuration.system, &files).expect("it can be written");
            let bundle = Bundle::parse(&bytes).expect("what was packed can be read");
            assert_eq!(*bundle.system(), configuration.system);
        }
        Err(errors) => {
            let lines = text.split('\n').count();
            assert!(!errors.is_empty());
            for error in &errors {
                assert!((1..=lines).contains(&error.line), "{error}");
                assert!(!error.message.is_empty(), "{error:?}");
            }
        }
    }
}
