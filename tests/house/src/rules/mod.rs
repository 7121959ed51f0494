//! The rules, one file for each subject. Every rule is a function from the parts of the tree that it needs to what it
//! finds there.

pub mod citations;
pub mod crates;
pub mod figures;
pub mod imports;
pub mod length;
pub mod types;
pub mod vendor;
