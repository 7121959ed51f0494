//! State of a virtual processor that both vendors have in common: registers by their architectural names, rules
//! for writing them, and the state that VM entries and exits do not switch.

pub mod control_registers;
pub mod extended;
pub mod held_msrs;
pub mod registers;
pub mod switched;
pub mod unsaved;
