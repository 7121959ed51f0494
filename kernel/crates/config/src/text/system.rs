//! The tables of a configuration, and the rules that span several of them.

mod identity;
mod team;
mod vnic;

use super::LoadedConfig;
use super::fields::{Fields, Located, integer, kind, text};
use super::guest_check::{GuestCheck, GuestImages, GuestProblem};
use super::report::Report;
use super::value;
use crate::{
    FileId, HostConfig, LEAST_SHARES, LogLevel, MAX_COMMAND_LINE, MAX_CORES, MAX_NICS, MAX_VMS, MAX_VNICS,
    MOST_PRIORITY, MOST_SHARES, NicConfig, NicMatch, Restart, STANDARD_PRIORITY, STANDARD_SHARES, SelfTest,
    System, VmConfig,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// Guest memory is allocated in units of this many bytes: large pages.
const LARGE_PAGE: u64 = 2 << 20;
const LEAST_MEMORY: u64 = 16 << 20;
const MOST_MEMORY: u64 = 1 << 40;
const LONGEST_NAME: usize = 16;

/// The prefix of the shell's lines on the console, where a guest's lines have the guest's name.
const SHELL: &str = "weir";
/// NICs and teams have their names in common: a vNIC's uplink is either.
const WIRE_NAME: &str = "NIC or team name";
const NAME: &str = "a name of 1 to 16 letters, digits, '-' and '_'";
const PCI: &str = "bus:device.function in hexadecimal, like \"00:03.0\"";
const IDS: &str = "vendor:device in hexadecimal, like \"8086:100e\"";
const MEMORY: &str =
    "a multiple of 2 MiB from 16 MiB to 1 TiB, as a number of MiB or with a unit, like \"256M\" or \"2G\"";
const KERNEL: &str = "the path of a Linux bzImage or an ELF executable";
const INITRD: &str = "the path of the initial RAM disk";
const COMMAND_LINE: &str = "a command line of at most 2047 bytes, on one line";
const CPU: &str = "a core number from 0 to 63";
const SHARES: &str = "a number from 10 to 10000";
const PRIORITY: &str = "a number from 0 to 7, of which 7 is the most important";
const BOOLEAN: &str = "true or false, without quotes";

const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];
const RESTARTS: [(&str, Restart); 2] = [("never", Restart::Never), ("on-crash", Restart::OnCrash)];
const SELF_TESTS: [(&str, SelfTest); 2] = [("panic", SelfTest::Panic), ("exception", SelfTest::Exception)];

/// Parses one of the ways to select a physical NIC.
type Parser = fn(&str) -> Option<NicMatch>;

/// Reads the whole file. Each error is reported, and a harmless value takes the place of the wrong one.
pub fn read(
    mut root: Fields<'_>,
    folder: &Path,
    check: &GuestCheck<'_>,
    report: &mut Report<'_>,
) -> LoadedConfig {
    let (files, taken, sharers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut reader = Reader { folder, check, report, files, taken, sharers };
    let host = reader.host(&mut root);
    let nics = root.tables("nic", reader.report);
    reader.at_most(&nics, MAX_NICS, "physical NICs");
    let nics: Vec<NicConfig> = nics.into_iter().map(|nic| reader.nic(nic)).collect();
    let teams = root.tables("team", reader.report);
    let mut system = System { host, nics, teams: Vec::new(), vms: Vec::new() };
    reader.teams(teams, &mut system);
    let vms = root.tables("vm", reader.report);
    if vms.is_empty() {
        reader.report.add(&(0..0), "vm", "no guest is configured: at least one [[vm]] is needed");
    }
    reader.at_most(&vms, MAX_VMS, "guests");
    let vms = vms.into_iter().map(|vm| reader.vm(vm, &system)).collect();
    root.finish(reader.report);
    LoadedConfig { system: System { vms, ..system }, files: reader.files }
}

struct Reader<'r, 'a> {
    folder: &'r Path,
    check: &'r GuestCheck<'r>,
    report: &'r mut Report<'a>,
    files: Vec<PathBuf>,
    /// Where each value that must be unique was used first, by its kind and the value itself.
    taken: BTreeMap<(&'static str, String), Range<usize>>,
    /// The number of vNICs on each uplink.
    sharers: BTreeMap<Option<String>, usize>,
}

impl Reader<'_, '_> {
    /// Reports the first table beyond the limit.
    fn at_most(&mut self, tables: &[Fields<'_>], most: usize, what: &str) {
        if let Some(surplus) = tables.get(most) {
            let message = format!("too many {what}: {} (at most {most})", tables.len());
            surplus.itself().wrong(self.report, message);
        }
    }

    /// Checks that no earlier field has the same value; a duplicate is reported.
    fn unique<T>(&mut self, what: &'static str, field: &Located<T>, value: String) -> bool {
        let first = self.taken.entry((what, value.clone())).or_insert_with(|| field.at.clone()).clone();
        if first != field.at {
            let line = self.report.line(&first);
            let message = format!("duplicate {what} \"{}\", first used on line {line}", value.escape_debug());
            field.wrong(self.report, message);
        }
        first == field.at
    }

    /// The value of a field that holds one of a few words.
    fn word<T: Copy>(
        &mut self,
        fields: &mut Fields<'_>,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let allowed = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let allowed = format!("one of {allowed}");
        let field = fields.take(name)?;
        let field = text(&field, &allowed, self.report)?;
        let found = words.iter().find(|(word, _)| *word == field.value).map(|(_, value)| *value);
        if found.is_none() {
            field.wrong(self.report, format!("\"{}\" is not {allowed}", field.value));
        }
        found
    }

    fn host(&mut self, root: &mut Fields<'_>) -> HostConfig {
        let mut host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
        if let Some(mut fields) = root.table("host", self.report) {
            host.log_level = self.word(&mut fields, "log_level", &LOG_LEVELS).unwrap_or(host.log_level);
            host.smt = self.boolean(&mut fields, "smt", BOOLEAN).unwrap_or(host.smt);
            host.self_test = self.word(&mut fields, "self_test", &SELF_TESTS);
            fields.finish(self.report);
        }
        host
    }

    /// The name of a NIC, a team or a guest. An invalid one is returned as `Err`, so that no errors are reported that only
    /// follow from it.
    fn name(&mut self, fields: &mut Fields<'_>, what: &'static str) -> Result<String, String> {
        let field = fields.need("name", NAME, self.report).and_then(|field| text(&field, NAME, self.report));
        let Some(field) = field else { return Err(String::new()) };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let valid_name = (1..=LONGEST_NAME).contains(&field.value.len()) && field.value.chars().all(valid);
        if !valid_name {
            field.wrong(self.report, format!("\"{}\" is not {NAME}", field.value.escape_debug()));
        }
        let usable = valid_name && field.value != SHELL;
        if field.value == SHELL {
            field.wrong(self.report, format!("\"{SHELL}\" is reserved for the shell"));
        }
        let unique = self.unique(what, &field, field.value.into());
        if usable && unique { Ok(field.value.into()) } else { Err(field.value.into()) }
    }

    fn nic(&mut self, mut fields: Fields<'_>) -> NicConfig {
        let name = self.name(&mut fields, WIRE_NAME).unwrap_or_else(|name| name);
        let mut found = Vec::new();
        let ways: [(_, _, Parser); 2] = [("pci", PCI, value::pci_address), ("ids", IDS, value::pci_ids)];
        for (way, allowed, parse) in ways {
            let field = fields.take(way).and_then(|field| text(&field, allowed, self.report));
            let Some(field) = field else { continue };
            match parse(field.value) {
                Some(NicMatch::Ids { .. }) if !found.is_empty() => {
                    field.wrong(self.report, "pci and ids cannot both be given");
                }
                Some(matches) => {
                    found.push(matches);
                    if way == "pci" {
                        self.unique("PCI address", &field, field.value.to_ascii_lowercase());
                    }
                }
                None => {
                    field.wrong(self.report, format!("\"{}\" is not {allowed}", field.value.escape_debug()))
                }
            }
        }
        fields.finish(self.report);
        NicConfig { name, matches: found.first().copied().unwrap_or(NicMatch::Any) }
    }

    fn vm(&mut self, mut fields: Fields<'_>, system: &System) -> VmConfig {
        let errors = self.report.count();
        let name = self.name(&mut fields, "VM name");
        let memory_bytes = self.memory(&mut fields);
        let kernel = fields.need("kernel", KERNEL, self.report);
        let kernel =
            kernel.and_then(|field| text(&field, KERNEL, self.report)).map(|field| self.kernel(&field));
        let initrd = fields.take("initrd").and_then(|field| text(&field, INITRD, self.report));
        let initrd = initrd.map(|field| self.file(&field));
        let command_line = self.command_line(&mut fields);
        let cpu =
            self.number(&mut fields, "cpu", CPU, 0..=MAX_CORES - 1).and_then(|cpu| u8::try_from(cpu).ok());
        let shares = self.number(&mut fields, "shares", SHARES, LEAST_SHARES..=MOST_SHARES);
        let priority = self.number(&mut fields, "priority", PRIORITY, 0..=MOST_PRIORITY);
        let restart = self.word(&mut fields, "restart", &RESTARTS);
        let autostart = self.boolean(&mut fields, "autostart", BOOLEAN);
        let identity = self.identity(&mut fields, name.as_deref().ok());
        let vnics = fields.tables("vnic", self.report);
        self.at_most(&vnics, MAX_VNICS, "vNICs");
        let owner = name.as_deref().ok();
        let vnics = (0..).zip(vnics).map(|(index, vnic)| self.vnic(vnic, (owner, index), system)).collect();
        let name = name.unwrap_or_else(|name| name);
        let vm = VmConfig {
            name,
            memory_bytes,
            kernel: kernel.unwrap_or(FileId(0)),
            initrd,
            command_line,
            cpu,
            shares: shares.unwrap_or(STANDARD_SHARES),
            priority: priority.unwrap_or(STANDARD_PRIORITY),
            restart: restart.unwrap_or(Restart::OnCrash),
            autostart: autostart.unwrap_or(true),
            identity,
            vnics,
        };
        if self.report.count() == errors {
            self.check_images(&vm, &fields);
        }
        fields.finish(self.report);
        vm
    }

    /// Lets the caller of [`read`] look at the images of a guest without errors.
    fn check_images(&mut self, vm: &VmConfig, fields: &Fields<'_>) {
        let path = |file: FileId| self.files.get(file.0 as usize).map(PathBuf::as_path);
        let Some(kernel) = path(vm.kernel) else { return };
        let images = GuestImages { vm, kernel, initrd: vm.initrd.and_then(path) };
        if let Err(GuestProblem { field, message }) = (self.check)(&images) {
            fields.place(field.name()).wrong(self.report, message);
        }
    }

    /// The value of a field that holds a number in a range.
    fn number<T: TryFrom<u32> + PartialOrd>(
        &mut self,
        fields: &mut Fields<'_>,
        name: &'static str,
        allowed: &str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let field = fields.take(name)?;
        let number = integer(field.value).filter(|number| range.contains(number));
        if number.is_none() {
            field.wrong(self.report, format!("expected {allowed}"));
        }
        number
    }

    /// The value of a field that holds true or false.
    fn boolean(&mut self, fields: &mut Fields<'_>, name: &'static str, allowed: &str) -> Option<bool> {
        let field = fields.take(name)?;
        let boolean = field.value.as_bool();
        if boolean.is_none() {
            field.wrong(self.report, format!("expected {allowed}, but found {}", kind(field.value)));
        }
        boolean
    }

    fn memory(&mut self, fields: &mut Fields<'_>) -> u64 {
        let Some(field) = fields.need("memory", MEMORY, self.report) else { return LEAST_MEMORY };
        let bytes = match field.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .and_then(|mebibytes| mebibytes.checked_mul(1 << 20)),
            DeValue::String(text) => value::size(text),
            _ => None,
        };
        let fits =
            |bytes: &u64| bytes.is_multiple_of(LARGE_PAGE) && (LEAST_MEMORY..=MOST_MEMORY).contains(bytes);
        bytes.filter(fits).unwrap_or_else(|| {
            field.wrong(self.report, format!("invalid memory size: expected {MEMORY}"));
            LEAST_MEMORY
        })
    }

    fn command_line(&mut self, fields: &mut Fields<'_>) -> String {
        let field = fields.take("cmdline").and_then(|field| text(&field, COMMAND_LINE, self.report));
        let Some(field) = field else { return String::new() };
        if field.value.len() > MAX_COMMAND_LINE {
            let message = format!(
                "the command line has {} bytes, and at most {MAX_COMMAND_LINE} are allowed",
                field.value.len()
            );
            field.wrong(self.report, message);
        }
        if let Some(control) = field.value.chars().find(|c| c.is_control()) {
            let message = format!(
                "the command line must be one line, and the control character {} is not allowed in it",
                control.escape_unicode()
            );
            field.wrong(self.report, message);
        }
        field.value.into()
    }

    /// A kernel file; its format is recognized by its first bytes.
    fn kernel(&mut self, field: &Located<&str>) -> FileId {
        let id = self.file(field);
        let path = self.folder.join(field.value);
        // "HdrS" is at 0x202 of a bzImage [Linux: Documentation/arch/x86/boot.rst], and an ELF file begins
        // with its magic number.
        let mut start = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(0x206).read_to_end(&mut start));
        if read.is_ok() && !start.starts_with(b"\x7fELF") && start.get(0x202..) != Some(b"HdrS") {
            field.wrong(
                self.report,
                format!("{} is neither a Linux bzImage nor an ELF executable", path.display()),
            );
        }
        id
    }

    /// The id of a file, which must exist.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a text of less than 4 GiB names fewer than 2^32 files"
    )]
    fn file(&mut self, field: &Located<&str>) -> FileId {
        let path = self.folder.join(field.value);
        if let Err(error) = File::open(&path) {
            field.wrong(self.report, format!("cannot read {}: {error}", path.display()));
        } else if !path.is_file() {
            field.wrong(self.report, format!("{} is not a regular file", path.display()));
        }
        // Guests that name the same image share one copy in the bundle.
        let index = self.files.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.files.push(path);
            self.files.len() - 1
        });
        FileId(index as u32)
    }
}

/// What the names of some kind are, for a message; nothing if there are none.
fn named<'n>(kind: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: Vec<String> = names.map(|name| format!("\"{}\"", name.escape_debug())).collect();
    (!names.is_empty()).then(|| format!("known {kind}: {}", names.join(", ")))
}
