//! The configuration as a TOML file, with every mistake named by line and field.

use crate::{FileId, Host, LogLevel, MAX_VMS, MAX_VNICS, Model, Nic, NicMatch, System, Vm, Vnic};
use base::MacAddress;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Guest memory is handed out in pieces of this many bytes: large pages.
const LARGE_PAGE: u64 = 2 << 20;
const LEAST_MEMORY: u64 = 4 << 20;
const MOST_MEMORY: u64 = 1 << 40;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSystem {
    #[serde(default)]
    host: RawHost,
    #[serde(default)]
    nic: Vec<RawNic>,
    #[serde(default)]
    vm: Vec<RawVm>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawHost {
    log_level: Option<LogLevel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNic {
    name: Spanned<String>,
    pci: Option<Spanned<String>>,
    ids: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVm {
    name: Spanned<String>,
    memory: Spanned<Memory>,
    kernel: Spanned<PathBuf>,
    initrd: Option<Spanned<PathBuf>>,
    #[serde(default)]
    cmdline: String,
    #[serde(default)]
    vnic: Vec<RawVnic>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVnic {
    model: Option<Model>,
    mac: Option<Spanned<String>>,
    uplink: Option<Spanned<String>>,
}

/// A number of MiB, or text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Memory {
    Mebibytes(u64),
    Text(String),
}

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which file.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// The field, as a path into the file; empty when the file is no TOML of this shape.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration with the files that it names, in the order of their ids. Relative paths are taken from
/// the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// What the kernel gets.
    pub system: System,
    /// The files.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the text of a configuration file.
///
/// # Errors
/// Every mistake in it; one alone when the file has not the shape of a configuration.
pub fn read(file: &Path, text: &str) -> Result<Configuration, Vec<Mistake>> {
    let raw: RawSystem = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().trim().replace('\n', " ");
        vec![Mistake { file: file.into(), line, field: String::new(), message }]
    })?;
    let mut check = Check { file, text, mistakes: Vec::new(), files: Vec::new(), names: BTreeMap::new() };
    let nics: Vec<Nic> = raw.nic.iter().enumerate().map(|(index, nic)| check.nic(index, nic)).collect();
    let vms = check.vms(&raw.vm, &nics);
    let host = Host { log_level: raw.host.log_level.unwrap_or(LogLevel::Info) };
    if check.mistakes.is_empty() {
        Ok(Configuration { system: System { host, nics, vms }, files: check.files })
    } else {
        check.mistakes.sort_by_key(|mistake| mistake.line);
        Err(check.mistakes)
    }
}

struct Check<'a> {
    file: &'a Path,
    text: &'a str,
    mistakes: Vec<Mistake>,
    files: Vec<PathBuf>,
    /// Lines where a name or address was first used, by kind and value.
    names: BTreeMap<(&'static str, String), usize>,
}

impl Check<'_> {
    fn mistake(&mut self, span: Range<usize>, field: &str, message: String) {
        let line = line_of(self.text, span.start);
        self.mistakes.push(Mistake { file: self.file.into(), line, field: field.into(), message });
    }

    /// Notes that `value` is used where only one may have it.
    fn unique(&mut self, kind: &'static str, value: String, span: Range<usize>, field: &str) {
        let line = line_of(self.text, span.start);
        if let Some(first) = self.names.get(&(kind, value.clone())) {
            let message = format!("{value} is the {kind} of another one already, in line {first}");
            self.mistake(span, field, message);
        } else {
            self.names.insert((kind, value), line);
        }
    }

    fn name(&mut self, kind: &'static str, name: &Spanned<String>, field: &str) -> String {
        let text = name.get_ref();
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 16 || !text.chars().all(valid) {
            let message = format!("{text:?} is no name: 1 to 16 letters, digits, '-' and '_' are");
            self.mistake(name.span(), field, message);
        }
        self.unique(kind, text.clone(), name.span(), field);
        text.clone()
    }

    fn nic(&mut self, index: usize, nic: &RawNic) -> Nic {
        let field = |name: &str| format!("nic[{index}].{name}");
        let name = self.name("name of a NIC", &nic.name, &field("name"));
        let mut matches = NicMatch::Any;
        if let Some(pci) = &nic.pci {
            match parse_address(pci.get_ref()) {
                Some(address) => matches = address,
                None => {
                    let message = format!("{:?} is no PCI address: bus:device.function in hexadecimal is, like \"00:03.0\"", pci.get_ref());
                    self.mistake(pci.span(), &field("pci"), message);
                }
            }
        }
        if let Some(ids) = &nic.ids {
            match parse_ids(ids.get_ref()) {
                Some(_) if nic.pci.is_some() => {
                    self.mistake(ids.span(), &field("ids"), "only one of pci and ids can be given".into());
                }
                Some(ids) => matches = ids,
                None => {
                    let message = format!("{:?} are no PCI ids: vendor:device in hexadecimal are, like \"8086:100e\"", ids.get_ref());
                    self.mistake(ids.span(), &field("ids"), message);
                }
            }
        }
        Nic { name, matches }
    }

    fn vms(&mut self, vms: &[RawVm], nics: &[Nic]) -> Vec<Vm> {
        if vms.is_empty() {
            self.mistake(0..0, "vm", "there is no guest: at least one [[vm]] is needed".into());
        }
        if let Some(surplus) = vms.get(MAX_VMS) {
            let message = format!("there are {} guests, and {MAX_VMS} at most are allowed", vms.len());
            self.mistake(surplus.name.span(), "vm", message);
        }
        vms.iter().enumerate().map(|(index, vm)| self.vm(index, vm, nics)).collect()
    }

    fn vm(&mut self, index: usize, vm: &RawVm, nics: &[Nic]) -> Vm {
        let field = |name: &str| format!("vm[{index}].{name}");
        let name = self.name("name of a guest", &vm.name, &field("name"));
        let memory_bytes = self.memory(&vm.memory, &field("memory"));
        let kernel = self.add_file(&vm.kernel, &field("kernel"));
        let initrd = vm.initrd.as_ref().map(|path| self.add_file(path, &field("initrd")));
        if let Some(at) = vm.cmdline.find('\0') {
            self.mistake(vm.name.span(), &field("cmdline"), format!("it has a zero byte at {at}"));
        }
        if vm.vnic.len() > MAX_VNICS {
            let message = format!("there are {}, and {MAX_VNICS} at most are allowed", vm.vnic.len());
            self.mistake(vm.name.span(), &field("vnic"), message);
        }
        let vnics = vm.vnic.iter().enumerate();
        let vnics = vnics.map(|(at, vnic)| self.vnic(index, at, &vm.name, vnic, nics)).collect();
        Vm { name, memory_bytes, kernel, initrd, command_line: vm.cmdline.clone(), vnics }
    }

    fn memory(&mut self, memory: &Spanned<Memory>, field: &str) -> u64 {
        let bytes = match memory.get_ref() {
            Memory::Mebibytes(count) => count.checked_mul(1 << 20),
            Memory::Text(text) => parse_size(text),
        };
        let allowed = "a multiple of 2 MiB from 4 MiB to 1 TiB, as a number of MiB or like \"256M\" or \"2G\"";
        match bytes {
            Some(bytes) if bytes.is_multiple_of(LARGE_PAGE) && (LEAST_MEMORY..=MOST_MEMORY).contains(&bytes) => bytes,
            _ => {
                self.mistake(memory.span(), field, format!("this is no size of a guest's memory: it is {allowed}"));
                LEAST_MEMORY
            }
        }
    }

    fn add_file(&mut self, path: &Spanned<PathBuf>, field: &str) -> FileId {
        let whole = self.file.parent().unwrap_or(Path::new("")).join(path.get_ref());
        if !whole.is_file() {
            self.mistake(path.span(), field, format!("there is no file {}", whole.display()));
        }
        // Guests that share an image share it in the bundle.
        let index = self.files.iter().position(|known| *known == whole).unwrap_or_else(|| {
            self.files.push(whole);
            self.files.len() - 1
        });
        FileId(index as u32)
    }

    fn vnic(&mut self, vm: usize, index: usize, owner: &Spanned<String>, vnic: &RawVnic, nics: &[Nic]) -> Vnic {
        let field = |name: &str| format!("vm[{vm}].vnic[{index}].{name}");
        let (mac, span) = match &vnic.mac {
            None => (derived_mac(owner.get_ref(), index), owner.span()),
            Some(text) => {
                let mac = text.get_ref().parse::<MacAddress>().unwrap_or_else(|error| {
                    self.mistake(text.span(), &field("mac"), format!("{:?}: {error}", text.get_ref()));
                    derived_mac(owner.get_ref(), index)
                });
                (mac, text.span())
            }
        };
        if mac.is_multicast() || mac == MacAddress::default() {
            let message = format!("{mac} cannot be a station's: the first octet must be even, and not all zero");
            self.mistake(span.clone(), &field("mac"), message);
        }
        self.unique("MAC address", mac.to_string(), span, &field("mac"));
        if let Some(uplink) = &vnic.uplink
            && !nics.iter().any(|nic| nic.name == *uplink.get_ref())
        {
            let known: Vec<&str> = nics.iter().map(|nic| nic.name.as_str()).collect();
            let message = format!("no [[nic]] has the name {:?}; there are: {}", uplink.get_ref(), known.join(", "));
            self.mistake(uplink.span(), &field("uplink"), message);
        }
        let uplink = vnic.uplink.as_ref().map(|uplink| uplink.get_ref().clone());
        Vnic { model: vnic.model.unwrap_or(Model::I82540em), mac, uplink }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn parse_address(text: &str) -> Option<NicMatch> {
    let (bus, rest) = text.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |text: &str, limit: u8| u8::from_str_radix(text, 16).ok().filter(|value| *value <= limit);
    Some(NicMatch::Address { bus: hex(bus, 0xff)?, device: hex(device, 31)?, function: hex(function, 7)? })
}

fn parse_ids(text: &str) -> Option<NicMatch> {
    let (vendor, device) = text.split_once(':')?;
    let hex = |text: &str| u16::from_str_radix(text, 16).ok();
    Some(NicMatch::Ids { vendor: hex(vendor)?, device: hex(device)? })
}

/// An address for a vNIC that names none: locally administered [IEEE 802-2014 8.4], and the same each time.
fn derived_mac(vm: &str, index: usize) -> MacAddress {
    // FNV-1a: spreads similar names.
    let hash = vm.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let [a, b, c, d, ..] = hash.to_be_bytes();
    MacAddress([0x02, a, b, c, d, index as u8])
}

#[cfg(test)]
mod tests;
