//! Tables that translate guest-physical to host-physical addresses, for both vendors.
//!
//! Intel's extended page tables [SDM3C 29.3] and AMD's nested page tables [APM2 15.25] are the same radix
//! tree, four levels of 512 entries; they differ in the encoding of an entry. [`NestedPages`] is the tree,
//! [`Format`] an encoding, [`Ept`] and [`Npt`] are the two encodings. Tables are accessed through [`TableMemory`],
//! so that everything here also runs, and is tested, on the host.
#![no_std]
#![forbid(unsafe_code)]

pub mod attributes;
pub mod ept;
pub mod error;
pub mod format;
pub mod memory;
pub mod npt;
pub mod page_size;
pub mod pages;

pub use attributes::{Attributes, MemoryType, Permissions};
pub use ept::Ept;
pub use error::PagingError;
pub use format::Format;
pub use memory::TableMemory;
pub use npt::Npt;
pub use page_size::PageSize;
pub use pages::{Mapping, NestedPages};
