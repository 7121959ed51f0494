//! Why a guest cannot be loaded.

use crate::layout::{LOW_MEMORY_LIMIT, ONE_MIB};
use base::MemoryError;
use core::fmt;

/// Why a guest cannot be loaded. Addresses and sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The image is of neither kind that can be started.
    #[error(
        "the kernel image of {length} bytes is neither a Linux bzImage nor an ELF64 executable for x86-64"
    )]
    UnknownImage {
        /// Size of the image.
        length: usize,
    },
    /// A part lies beyond the end of the image.
    #[error("the kernel image is truncated: {what} ends at byte {end}, but the image at byte {length}")]
    Truncated {
        /// The missing part.
        what: &'static str,
        /// Its expected end.
        end: u64,
        /// Size of the image.
        length: usize,
    },
    /// The bzImage's boot protocol is too old.
    #[error("the kernel has Linux boot protocol {major}.{minor:02}, and 2.12 or later is required")]
    OldProtocol {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The bzImage has no 64-bit entry point.
    #[error(
        "the kernel has no 64-bit entry point: xloadflags is {xloadflags:#x}, without XLF_KERNEL_64; use a kernel for x86-64"
    )]
    No64BitEntry {
        /// The header's field.
        xloadflags: u16,
    },
    /// The ELF file is not of the kind that can be started.
    #[error("the ELF executable cannot be started: {field} is {value:#x}, and must be {wanted}")]
    UnsuitableElf {
        /// Field of the file or program header.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it must be.
        wanted: &'static str,
    },
    /// The kernel does not fit at its load address.
    #[error("the kernel needs memory from {start:#x} to {end:#x}, which the guest does not have: {}", KernelRemedy(*start, *end))]
    KernelDoesNotFit {
        /// First address.
        start: u64,
        /// End address.
        end: u64,
    },
    /// The initrd does not fit between the kernel and the end of memory.
    #[error(
        "the initrd of {length} bytes does not fit between the kernel's end at {from:#x} and {limit:#x}: give the guest more memory, or a smaller initrd"
    )]
    InitrdDoesNotFit {
        /// Its size.
        length: usize,
        /// Lowest address allowed.
        from: u64,
        /// Highest end address allowed.
        limit: u64,
    },
    /// The command line is longer than the kernel accepts.
    #[error("the command line has {length} bytes, and the kernel accepts at most {limit}")]
    CommandLineTooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The command line holds a zero byte, which would end it.
    #[error("the command line has a zero byte at {at}")]
    CommandLineHasZero {
        /// Its position in bytes.
        at: usize,
    },
    /// Guest memory refused a copy.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// What to do about a kernel that does not fit between these addresses.
struct KernelRemedy(u64, u64);

impl fmt::Display for KernelRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(start, end) = *self;
        if start >= ONE_MIB && start <= end && end <= LOW_MEMORY_LIMIT {
            // A guest's memory is a multiple of 2 MiB.
            write!(f, "give it at least {} MiB", end.next_multiple_of(2 << 20) >> 20)
        } else {
            write!(f, "a kernel can be loaded from {ONE_MIB:#x} to {LOW_MEMORY_LIMIT:#x}")
        }
    }
}
