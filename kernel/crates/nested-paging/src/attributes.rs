//! Permissions and memory type of a mapping.

bitflags::bitflags! {
    /// What the guest may do with a page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Permissions: u8 {
        /// Loads. No page is mapped without it.
        const READ = 1 << 0;
        /// Stores.
        const WRITE = 1 << 1;
        /// Instruction fetches.
        const EXECUTE = 1 << 2;
    }
}

/// How the processor caches a page, numbered as in the MTRRs [SDM3A 12.11, "Memory Types That Can Be
/// Encoded in MTRRs"].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MemoryType {
    /// UC: every access goes to the bus, in order. For device registers.
    Uncacheable = 0,
    /// WC: stores may be combined, loads are not cached. For framebuffers.
    WriteCombining = 1,
    /// WT: stores go to the bus, loads are cached.
    WriteThrough = 4,
    /// WP: loads are cached, stores go to the bus and invalidate.
    WriteProtected = 5,
    /// WB: loads and stores are cached. For memory.
    WriteBack = 6,
}

/// All properties of a mapping except its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// What the guest may do with the page.
    pub permissions: Permissions,
    /// How the page is cached.
    pub memory_type: MemoryType,
    /// True when the guest's own page attribute table does not affect the memory type: the IPAT bit
    /// [SDM3C 29.3.7]. AMD's nested page tables cannot express it.
    pub ignore_guest_pat: bool,
}

impl Attributes {
    /// Ordinary memory: all permissions, write-back; the guest's own tables may select a weaker type.
    pub const MEMORY: Self =
        Self { permissions: Permissions::all(), memory_type: MemoryType::WriteBack, ignore_guest_pat: false };

    /// Registers of a device that is assigned to the guest: not executable, uncacheable.
    pub const DEVICE: Self = Self {
        permissions: Permissions::READ.union(Permissions::WRITE),
        memory_type: MemoryType::Uncacheable,
        ignore_guest_pat: false,
    };
}
