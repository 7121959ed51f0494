//! Configuration and images in one file: the RAM disk that the loader passes to the kernel.
//!
//! It has a header of 64 bytes, the manifest in postcard's wire format, and the files, each at a multiple of 4096
//! bytes. All numbers are little-endian.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `WEIRBNDL` |
//! | 8 | 4 | version of this layout |
//! | 12 | 4 | length of the manifest |
//! | 16 | 8 | length of the bundle |
//! | 24 | 8 | checksum of everything after the header |
//! | 32 | 6 | numbers of guests, of physical NICs and of vNICs, two bytes each |

use crate::{FileId, MAX_NICS, MAX_VMS, MAX_VNICS, System, limits};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 8] = *b"WEIRBNDL";
/// Raised with every change of the header or of what [`System`] consists of: postcard's bytes do not say what they are.
const VERSION: u32 = 6;
const HEADER: usize = 64;
const ALIGNMENT: usize = 4096;

/// Why a RAM disk is not a valid bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Another file was loaded as the RAM disk.
    #[error("it does not begin with WEIRBNDL")]
    NoMagic,
    /// It was made by another version of the `boot` tool.
    #[error("its layout has version {0}, but this kernel reads version {VERSION}: build the image again")]
    Version(u32),
    /// It was truncated while it was copied or loaded.
    #[error("it is truncated: {have} of {want} bytes")]
    Truncated {
        /// Bytes present.
        have: usize,
        /// Bytes expected.
        want: u64,
    },
    /// It was corrupted while it was copied or loaded.
    #[error("its checksum is {have:#018x}, but its header says {want:#018x}")]
    Checksum {
        /// Checksum of the content.
        have: u64,
        /// Checksum in the header.
        want: u64,
    },
    /// The manifest does not parse, or names a file that the bundle does not contain.
    #[error("its manifest is damaged")]
    Manifest,
    /// Its configuration does not keep the limits that the kernel relies on.
    #[error("its configuration cannot be used ({0}): build the image with `boot`, which checks it")]
    Configuration(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    system: System,
    files: Vec<Extent>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Extent {
    offset: u64,
    length: u64,
}

/// How much a configuration describes. It decides how much memory the kernel needs to read the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// Guests.
    pub vms: u16,
    /// Physical NICs, those that a team of all NICs can have included.
    pub nics: u16,
    /// vNICs of all guests.
    pub vnics: u16,
}

impl Scale {
    /// What the header of a bundle says, up to the largest that is allowed; nothing if this is none. It is true if
    /// [`Bundle::parse`] succeeds.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Some(header) = bytes.get(..HEADER).filter(|header| header[..8] == MAGIC) else {
            return Self::default();
        };
        let [vms, nics, vnics] = [32, 34, 36].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
        #[expect(clippy::cast_possible_truncation, reason = "all three are below 200")]
        let [most_vms, most_nics, most_vnics] =
            [MAX_VMS, MAX_NICS, MAX_VMS * MAX_VNICS].map(|most| most as u16);
        Self { vms: vms.min(most_vms), nics: nics.min(most_nics), vnics: vnics.min(most_vnics) }
    }

    fn of(system: &System) -> Option<Self> {
        let vnics = system.vms.iter().map(|vm| vm.vnics.len()).sum();
        let [vms, nics, vnics] =
            [system.vms.len(), system.sought_nics().len(), vnics].map(|number| u16::try_from(number).ok());
        Some(Self { vms: vms?, nics: nics?, vnics: vnics? })
    }
}

/// A bundle in memory.
///
/// ```
/// use config::{Bundle, FileId, HostConfig, LogLevel, System, bundle};
///
/// let host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
/// let system = System { host, nics: Vec::new(), teams: Vec::new(), vms: Vec::new() };
/// let bytes = bundle::pack(&system, &[b"a guest's kernel".to_vec()])?;
///
/// let bundle = Bundle::parse(&bytes)?;
/// assert_eq!(bundle.system(), &system);
/// assert_eq!(bundle.file(FileId(0)), b"a guest's kernel");
/// # Ok::<(), config::BundleError>(())
/// ```
pub struct Bundle<'a> {
    bytes: &'a [u8],
    system: System,
    files: Vec<Extent>,
}

impl<'a> Bundle<'a> {
    /// Parses a bundle and verifies its checksum.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let header = bytes.get(..HEADER).ok_or(BundleError::NoMagic)?;
        if header[..8] != MAGIC {
            return Err(BundleError::NoMagic);
        }
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(BundleError::Version(version));
        }
        let want = u64_at(header, 16);
        let have = bytes.len();
        // The loader may have rounded its length up.
        let whole = usize::try_from(want).ok().and_then(|want| bytes.get(..want));
        let bytes =
            whole.filter(|whole| whole.len() >= HEADER).ok_or(BundleError::Truncated { have, want })?;
        let (have, want) = (checksum(&bytes[HEADER..]), u64_at(header, 24));
        if have != want {
            return Err(BundleError::Checksum { have, want });
        }
        let length = u32_at(header, 12) as usize;
        let manifest = bytes[HEADER..].get(..length).ok_or(BundleError::Manifest)?;
        let manifest: Manifest = postcard::from_bytes(manifest).map_err(|_| BundleError::Manifest)?;
        let bundle = Self { bytes, system: manifest.system, files: manifest.files };
        let named = bundle.system.vms.iter().flat_map(|vm| [Some(vm.kernel), vm.initrd]).flatten();
        if named.into_iter().any(|file| bundle.extent(file).is_none()) {
            return Err(BundleError::Manifest);
        }
        limits::check(&bundle.system).map_err(BundleError::Configuration)?;
        if Scale::of(&bundle.system) != Some(Scale::read(bytes)) {
            return Err(BundleError::Manifest);
        }
        Ok(bundle)
    }

    /// The configuration.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Length of the bundle in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The content of a file; empty for one that the bundle does not contain.
    #[must_use]
    pub fn file(&self, file: FileId) -> &'a [u8] {
        self.extent(file).unwrap_or(&[])
    }

    fn extent(&self, file: FileId) -> Option<&'a [u8]> {
        let extent = self.files.get(file.0 as usize)?;
        let start = usize::try_from(extent.offset).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(extent.length).ok()?)?)
    }
}

/// Packs a configuration with its files, which are given in the order of their ids.
///
/// # Errors
/// [`BundleError::Manifest`] when the configuration cannot be serialized, or is longer than the header can say.
pub fn pack(system: &System, files: &[Vec<u8>]) -> Result<Vec<u8>, BundleError> {
    let mut extents: Vec<Extent> =
        files.iter().map(|file| Extent { offset: u64::MAX, length: file.len() as u64 }).collect();
    // The offsets depend on the length of the manifest, which depends on how many bytes encode the offsets. It is
    // measured with the longest encoding, and what the real offsets do not need stays zero.
    let longest = encode(system, &extents)?.len();
    let mut bytes = alloc::vec![0; (HEADER + longest).next_multiple_of(ALIGNMENT)];
    for (extent, file) in extents.iter_mut().zip(files) {
        extent.offset = bytes.len() as u64;
        bytes.extend_from_slice(file);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
    let manifest = encode(system, &extents)?;
    let manifest_length = u32::try_from(manifest.len()).map_err(|_| BundleError::Manifest)?;
    bytes[HEADER..HEADER + manifest.len()].copy_from_slice(&manifest);
    let (length, sum) = (bytes.len() as u64, checksum(&bytes[HEADER..]));
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&manifest_length.to_le_bytes());
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    let Scale { vms, nics, vnics } = Scale::of(system).ok_or(BundleError::Manifest)?;
    for (at, number) in [(32, vms), (34, nics), (36, vnics)] {
        bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
    }
    Ok(bytes)
}

fn encode(system: &System, files: &[Extent]) -> Result<Vec<u8>, BundleError> {
    let manifest = Manifest { system: system.clone(), files: files.to_vec() };
    postcard::to_allocvec(&manifest).map_err(|_| BundleError::Manifest)
}

/// Detects accidental corruption at a cost of a few instructions per 8 bytes: images are large, and the kernel may
/// be running in an emulator.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    words
        .fold(bytes.len() as u64, |sum, word| (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
