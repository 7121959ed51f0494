//! One PCI function's configuration space: a header of type 0 [PCI 3.0 6.1] with a power management
//! capability [PCI PM 1.2 3.2].

use base::Effects;
use bitflags::bitflags;

/// Offsets in the header [PCI 3.0 figure 6-1].
pub(super) const VENDOR_ID: u8 = 0x00;
pub(super) const COMMAND: u8 = 0x04;
const COMMAND_HIGH: u8 = COMMAND + 1;
const STATUS: u8 = 0x06;
const REVISION_ID: u8 = 0x08;
const CACHE_LINE_SIZE: u8 = 0x0c;
const LATENCY_TIMER: u8 = 0x0d;
pub(super) const BAR0: u8 = 0x10;
const SUBSYSTEM: u8 = 0x2c;
const CAPABILITIES: u8 = 0x34;
const INTERRUPT_LINE: u8 = 0x3c;
const INTERRUPT_PIN: u8 = 0x3d;
const MIN_GNT: u8 = 0x3e;

/// The 82540EM's power management registers [8254x 4.1.2].
const POWER_MANAGEMENT: u8 = 0xdc;
const PMCSR: u8 = POWER_MANAGEMENT + 4;
/// Capability 01h, the last; PMC: version 3 (PCI PM 1.2), device-specific initialisation, no D1, no D2
/// and no PME#, which this board does not wire.
const POWER_CAPABILITY: u32 = 0x0023_0001;
/// PMCSR: registers keep their values from D3hot to D0, so nothing has to be set up again.
const NO_SOFT_RESET: u8 = 1 << 3;
const POWER_STATE: u8 = 3;
const D0: u8 = 0;
const D3_HOT: u8 = 3;

bitflags! {
    /// PciCommand register [PCI 3.0 6.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct PciCommand: u16 {
        const IO = 1 << 0;
        const MEMORY = 1 << 1;
        const BUS_MASTER = 1 << 2;
        const INVALIDATE = 1 << 4;
        const PARITY = 1 << 6;
        const SERR = 1 << 8;
        /// INTA# is not asserted, whatever the device wants [PCI 3.0 6.2.2].
        const INTERRUPT_DISABLE = 1 << 10;
    }
}

/// Status: capability list, 66 MHz capable, DEVSEL# medium [PCI 3.0 6.2.3].
const STATUS_NIC: u16 = 0x0230;
const STATUS_BRIDGE: u16 = 0x0200;
/// Interrupt Status, in the low byte: the device wants an interrupt, whether or not `INTERRUPT_DISABLE` keeps it
/// from asserting INTA# [PCI 3.0 6.2.3]. Drivers that share the line or run in user space rely on it.
const STATUS_INTERRUPT: u8 = 1 << 3;

/// What a base address register decodes [PCI 3.0 6.2.5].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// 32-bit memory, not prefetchable.
    Memory,
    /// I/O ports.
    Io,
}

/// A base address register; `size` is a power of two.
#[derive(Clone, Copy, Debug)]
struct Bar {
    kind: BarKind,
    size: u32,
}

/// Configuration space of one function.
#[derive(Debug)]
pub(super) struct ConfigurationSpace {
    bytes: [u8; 256],
    /// Which bits of each byte the guest may change.
    writable: [u8; 256],
    bars: [Option<Bar>; 6],
    /// What the device model asserts, regardless of power state and `INTERRUPT_DISABLE`.
    asserted: bool,
}

/// The identification registers of a function.
pub(super) struct PciIdentity {
    pub vendor_device: u32,
    pub class_revision: u32,
    pub subsystem: u32,
}

impl ConfigurationSpace {
    fn new(identity: &PciIdentity, status: u16) -> Self {
        let mut function = Self { bytes: [0; 256], writable: [0; 256], bars: [None; 6], asserted: false };
        function.set_dword(VENDOR_ID, identity.vendor_device);
        function.set_dword(REVISION_ID, identity.class_revision);
        function.set_dword(SUBSYSTEM, identity.subsystem);
        function.set(STATUS, status.to_le_bytes()[0], 0);
        function.set(STATUS + 1, status.to_le_bytes()[1], 0);
        function
    }

    /// A host bridge with nothing to configure.
    pub(super) fn host_bridge(identity: &PciIdentity) -> Self {
        Self::new(identity, STATUS_BRIDGE)
    }

    /// A network controller with its registers at `memory` and `io`, decoding as firmware leaves it, and
    /// INTA# on `interrupt_line`.
    pub(super) fn nic(
        identity: &PciIdentity,
        memory: (u32, u32),
        io: (u16, u16),
        interrupt_line: u8,
    ) -> Self {
        let mut function = Self::new(identity, STATUS_NIC);
        let [command_low, command_high] = PciCommand::all().bits().to_le_bytes();
        let enabled = (PciCommand::IO | PciCommand::MEMORY).bits().to_le_bytes()[0];
        function.set(COMMAND, enabled, command_low);
        function.set(COMMAND_HIGH, 0, command_high);
        function.set(CACHE_LINE_SIZE, 16, 0xff);
        function.set(LATENCY_TIMER, 64, 0xff);
        function.set_bar(0, Bar { kind: BarKind::Memory, size: memory.1 }, memory.0);
        function.set_bar(2, Bar { kind: BarKind::Io, size: io.1.into() }, io.0.into());
        function.set(CAPABILITIES, POWER_MANAGEMENT, 0);
        function.set(INTERRUPT_LINE, interrupt_line, 0xff);
        function.set(INTERRUPT_PIN, 1, 0);
        // The NIC requests the bus for up to 64 us [8254x 4.1].
        function.set(MIN_GNT, 0xff, 0);
        function.set_dword(POWER_MANAGEMENT, POWER_CAPABILITY);
        function.set(PMCSR, NO_SOFT_RESET, POWER_STATE);
        function
    }

    pub(super) fn read(&self, offset: u8) -> u8 {
        let stored = self.bytes[usize::from(offset)];
        match offset {
            STATUS if self.asserted && !self.is_sleeping() => stored | STATUS_INTERRUPT,
            _ => stored,
        }
    }

    pub(super) fn write(&mut self, offset: u8, value: u8) -> Effects {
        let at = usize::from(offset);
        let mut new = self.bytes[at] & !self.writable[at] | value & self.writable[at];
        // A write of an unsupported state is ignored [PCI PM 1.2 3.2.4].
        if offset == PMCSR && ![D0, D3_HOT].contains(&(new & POWER_STATE)) {
            new = self.bytes[at];
        }
        if new == self.bytes[at] {
            return Effects::empty();
        }
        self.bytes[at] = new;
        match offset {
            COMMAND | 0x10..0x28 => Effects::MAP_CHANGED,
            COMMAND_HIGH => Effects::IRQ_CHANGED,
            PMCSR => Effects::MAP_CHANGED | Effects::IRQ_CHANGED,
            _ => Effects::empty(),
        }
    }

    /// The window that base address register `index` decodes now: first address and size in bytes. None while
    /// decoding is disabled, in D3hot, or where there is no such register.
    pub(super) fn window(&self, index: u8, kind: BarKind) -> Option<(u32, u32)> {
        let bar = self.bars.get(usize::from(index)).copied().flatten().filter(|bar| bar.kind == kind)?;
        let (enable, flags) = match kind {
            BarKind::Memory => (PciCommand::MEMORY, 0xf),
            BarKind::Io => (PciCommand::IO, 0x3),
        };
        let decodes = self.command().contains(enable) && !self.is_sleeping();
        decodes.then(|| (self.dword(BAR0 + 4 * index) & !flags, bar.size))
    }

    /// True when the function may access guest memory.
    pub(super) fn bus_master(&self) -> bool {
        self.command().contains(PciCommand::BUS_MASTER) && !self.is_sleeping()
    }

    pub(super) fn set_interrupt(&mut self, asserted: bool) {
        self.asserted = asserted;
    }

    /// The level of INTA#: nothing is asserted in D3hot [PCI PM 1.2 5.4.1].
    pub(super) fn interrupt(&self) -> bool {
        self.asserted && !self.is_sleeping() && !self.command().contains(PciCommand::INTERRUPT_DISABLE)
    }

    fn is_sleeping(&self) -> bool {
        self.bytes[usize::from(PMCSR)] & POWER_STATE != D0
    }

    fn command(&self) -> PciCommand {
        let [low, high] = [COMMAND, COMMAND_HIGH].map(|at| self.bytes[usize::from(at)]);
        PciCommand::from_bits_truncate(u16::from_le_bytes([low, high]))
    }

    fn dword(&self, offset: u8) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|index| self.read(offset.wrapping_add(index))))
    }

    fn set(&mut self, offset: u8, value: u8, writable: u8) {
        self.bytes[usize::from(offset)] = value;
        self.writable[usize::from(offset)] = writable;
    }

    fn set_dword(&mut self, offset: u8, value: u32) {
        for (byte, at) in value.to_le_bytes().into_iter().zip(offset..) {
            self.set(at, byte, 0);
        }
    }

    /// Sizing needs no further code: address bits below the size do not exist, so ones written there read
    /// back as zeros [PCI 3.0 6.2.5.1].
    fn set_bar(&mut self, index: u8, bar: Bar, address: u32) {
        let offset = BAR0 + 4 * index;
        let flags = if bar.kind == BarKind::Io { 1 } else { 0 };
        // I/O registers decode 16 bits of address: the upper half of the register is hard-wired to zero.
        let mask = if bar.kind == BarKind::Io { 0xffff } else { u32::MAX } & !(bar.size - 1);
        let bytes = (address | flags).to_le_bytes().into_iter().zip(mask.to_le_bytes());
        for ((byte, writable), at) in bytes.zip(offset..) {
            self.set(at, byte, writable);
        }
        if let Some(slot) = self.bars.get_mut(usize::from(index)) {
            *slot = Some(bar);
        }
    }
}
