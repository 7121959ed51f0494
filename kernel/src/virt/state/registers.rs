//! Registers of a virtual processor by their architectural names.

pub use mmio::SegmentRegister;

/// General-purpose registers, in the order of their numbers in instructions. The entry code of each vendor
/// depends on this layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct GeneralRegisters {
    /// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. A slot whose register is in the vendor's control
    /// structure (rsp; on SVM rax too) holds nothing of the guest's.
    pub general: [u64; 16],
}

const _: () = assert!(size_of::<GeneralRegisters>() == 128);

/// Number of RAX.
pub const RAX: usize = 0;
/// Number of RCX.
pub const RCX: usize = 1;
/// Number of RDX.
pub const RDX: usize = 2;
/// Number of RBX.
pub const RBX: usize = 3;
/// Number of RSP.
pub const RSP: usize = 4;
/// Number of RSI.
pub const RSI: usize = 6;
/// Number of RDI.
pub const RDI: usize = 7;

/// What a segment register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentState {
    /// Selector.
    pub selector: u16,
    /// Linear base address.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u32,
    /// Access rights in the layout of [SDM3C 25.4.1].
    pub rights: u32,
}
