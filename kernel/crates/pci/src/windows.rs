//! The windows of a function, as its base address registers describe them [PCI 3.0 6.2.5.1].

use crate::registers::{BAR, COMMAND, bar, command};
use crate::{BusFunction, FunctionRegisters, PciAccess};
use base::HostPhysical;

/// Number of base address registers of a function that is no bridge.
const BARS: u8 = 6;

/// What a base address register describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WindowKind {
    Memory32,
    Memory64,
    Io,
    /// A type that no edition of the specification gives a meaning today.
    Reserved,
}

impl WindowKind {
    fn of(value: u32) -> Self {
        match value & bar::TYPE {
            _ if value & bar::IO != 0 => Self::Io,
            bar::TYPE_32 => Self::Memory32,
            bar::TYPE_64 => Self::Memory64,
            _ => Self::Reserved,
        }
    }
}

impl<A: PciAccess> BusFunction<A> {
    /// The base address registers: number, value, kind. The register after a 64-bit one is the upper half of that one's
    /// address, and no register of its own: whatever its bits are, they are no kind.
    fn bars(&self) -> impl Iterator<Item = (u8, u32, WindowKind)> {
        let mut next = if self.is_endpoint() { 0 } else { BARS };
        core::iter::from_fn(move || {
            let number = Some(next).filter(|number| *number < BARS)?;
            let value = self.read(BAR + 4 * number);
            let kind = WindowKind::of(value);
            next += if kind == WindowKind::Memory64 { 2 } else { 1 };
            Some((number, value, kind))
        })
    }

    /// The memory window of a base address register: its address and size in bytes. `None` if there is none, if firmware
    /// has assigned no address to it, or if its kind is reserved.
    pub fn memory_bar(&self, index: u8) -> Option<(HostPhysical, u64)> {
        let (number, low, kind) = self.bars().find(|(number, ..)| *number == index)?;
        let lower = BAR + 4 * number;
        let upper = match kind {
            WindowKind::Memory32 => None,
            WindowKind::Memory64 if number + 1 < BARS => Some(lower + 4),
            _ => return None,
        };
        let high = upper.map_or(0, |upper| self.read(upper));
        let address = u64::from(high) << 32 | u64::from(low & bar::MEMORY_ADDRESS);
        if address == 0 {
            return None;
        }
        let size = self.measure((lower, low), upper.map(|upper| (upper, high)));
        (size != 0).then_some((HostPhysical(address), size))
    }

    /// The size of a window, from the address bits that its registers do not keep. Meanwhile the function answers at
    /// other addresses, so its decode is off [PCI 3.0 6.2.5.1].
    fn measure(&self, (lower, low): (u8, u32), upper: Option<(u8, u32)>) -> u64 {
        // The status half of the command register is cleared by writing 1.
        let enabled = self.read(COMMAND) & 0xffff;
        self.write(COMMAND, enabled & !command::DECODE);
        let probe = |at, value| {
            self.write(at, u32::MAX);
            let kept = self.read(at);
            self.write(at, value);
            kept
        };
        let low = probe(lower, low) & bar::MEMORY_ADDRESS;
        let high = upper.map_or(0, |(at, value)| probe(at, value));
        self.write(COMMAND, enabled);
        let kept = u64::from(high) << 32 | u64::from(low);
        kept & kept.wrapping_neg()
    }

    /// The first port of its first I/O window that has an address. Nothing is written: the size is not needed.
    pub fn io_bar(&self) -> Option<u16> {
        self.bars()
            .filter(|(.., kind)| *kind == WindowKind::Io)
            .find_map(|(_, value, _)| u16::try_from(value & bar::IO_ADDRESS).ok().filter(|port| *port != 0))
    }
}
