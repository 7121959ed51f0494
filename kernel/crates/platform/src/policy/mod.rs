//! What a guest sees of its processor: which CPUID bits and which model-specific registers, with reasons.

pub mod controls;
pub mod cpuid;
pub mod msr;
