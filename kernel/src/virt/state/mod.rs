//! State of a virtual processor that both vendors hold alike: registers by their architectural names, rules for writing
//! them, and what no VM entry or exit switches.

pub mod control_registers;
pub mod extended;
pub mod held_msrs;
pub mod registers;
pub mod unsaved;
