//! Tables that translate guest-physical to host-physical addresses, for both vendors.
//!
//! Intel's extended page tables [SDM3C 29.3] and AMD's nested page tables [APM2 15.25] are the same radix
//! tree, four levels of 512 entries, and differ in how an entry is written. [`NestedPages`] is the tree,
//! [`Format`] the writing, [`Ept`] and [`Npt`] the two ways of it. Table memory is behind [`TableMemory`],
//! so that everything here runs, and is tested, on the host.
#![no_std]
#![forbid(unsafe_code)]

pub mod attributes;
pub mod ept;
pub mod error;
pub mod format;
pub mod memory;
pub mod npt;
pub mod pages;
pub mod size;

pub use attributes::{Attributes, MemoryType, Permissions};
pub use ept::Ept;
pub use error::PagingError;
pub use format::Format;
pub use memory::TableMemory;
pub use npt::Npt;
pub use pages::{Mapping, NestedPages};
pub use size::PageSize;
