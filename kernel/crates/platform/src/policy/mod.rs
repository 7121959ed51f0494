//! What a guest sees of its processor: which CPUID bits, which model-specific registers, and what its control registers
//! take, with reasons.

pub mod clock;
pub mod control_registers;
pub mod controls;
pub mod cpuid;
pub mod guest_paging;
pub mod msr;
