//! The guest's PCI bus 0: configuration mechanism #1 [PCI 3.0 3.2.2.3.2] and its memory-mapped form
//! [PCI Firmware 3.3 4.1], a host bridge, and the vNICs.
//!
//! Base addresses are assigned as by firmware, inside the windows that the DSDT declares.

mod configuration_space;

pub use configuration_space::BarKind;
use configuration_space::{ConfigurationSpace, PciIdentity};

use crate::layout;
use base::{Effects, GuestPhysical};
use core::ops::Range;

/// Slot (device number) of the first vNIC; function number is always 0.
pub const FIRST_NIC_SLOT: u8 = 3;
/// The maximum number of vNICs on one bus: one per slot.
pub const MAX_NICS: u8 = 32 - FIRST_NIC_SLOT;
/// Size of the memory window of a vNIC in bytes: BAR 0 [8254x 4.1].
pub const NIC_MEMORY_BYTES: u32 = 128 << 10;
/// Size of the I/O window of a vNIC in ports: BAR 2. The 82540EM decodes 64 although it uses 8.
pub const NIC_IO_BYTES: u16 = 64;

/// First ports of the mechanism's two registers.
const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
const CONFIG_ENABLE: u32 = 1 << 31;

/// A host bridge for which Linux has no quirk, unlike that of the i440FX, and which other virtual machines
/// use.
const HOST_BRIDGE: PciIdentity =
    PciIdentity { vendor_device: 0x0d57_8086, class_revision: 0x0600_0000, subsystem: 0 };
/// Intel 82540EM, the PRO/1000 MT Desktop Adapter [8254x table 5-1].
const NIC_82540EM: PciIdentity =
    PciIdentity { vendor_device: 0x100e_8086, class_revision: 0x0200_0002, subsystem: 0x001e_8086 };

/// The target of an access to a device's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarHit {
    /// Slot of the function.
    pub slot: u8,
    /// Which base address register, 0 to 5.
    pub bar: u8,
    /// Bytes from the start of its window.
    pub offset: u32,
    /// Size of the window in bytes.
    pub size: u32,
}

/// Bus 0 of one guest.
///
/// ```
/// use base::GuestPhysical;
/// use platform::pci::{FIRST_NIC_SLOT, PciBus};
///
/// let bus = PciBus::new(1);
/// let (start, bytes) = bus.memory_window(FIRST_NIC_SLOT, 0).expect("firmware has assigned it");
/// assert_eq!(bytes, 128 << 10);
/// let hit = bus.find_memory(GuestPhysical(start.0 + 8)).expect("inside the window");
/// assert_eq!((hit.slot, hit.bar, hit.offset), (FIRST_NIC_SLOT, 0, 8));
/// ```
#[derive(Debug)]
pub struct PciBus {
    address: u32,
    host_bridge: ConfigurationSpace,
    nics: heapless::Vec<ConfigurationSpace, { MAX_NICS as usize }>,
    /// From the first to the last address, and port, that any function decodes now: most accesses lie outside, and
    /// need no search.
    decoded: [Range<u64>; 2],
}

impl PciBus {
    /// A bus with a host bridge and `nics` vNICs, at most [`MAX_NICS`], from [`FIRST_NIC_SLOT`] on.
    #[must_use]
    pub fn new(nics: u8) -> Self {
        let mut bus = Self {
            address: 0,
            host_bridge: ConfigurationSpace::host_bridge(&HOST_BRIDGE),
            nics: heapless::Vec::new(),
            decoded: [0..0, 0..0],
        };
        for index in 0..nics.min(MAX_NICS) {
            let memory =
                const { layout::below_4_gib(layout::PCI_MEMORY.start) } + u32::from(index) * NIC_MEMORY_BYTES;
            let io = layout::PCI_IO_FIRST + u16::from(index) * NIC_IO_BYTES;
            let line = layout::pci_irq(layout::pci_gsi(FIRST_NIC_SLOT + index, 0));
            let nic =
                ConfigurationSpace::nic(&NIC_82540EM, (memory, NIC_MEMORY_BYTES), (io, NIC_IO_BYTES), line);
            // There is room for one per slot.
            let _ = bus.nics.push(nic);
        }
        bus.note_decoded();
        bus
    }

    /// Reads a byte of the configuration mechanism's registers, ports 0xcf8 to 0xcff.
    #[must_use]
    pub fn read_port(&self, port: u16) -> u8 {
        if port < CONFIG_DATA {
            return byte_of(self.address, port - CONFIG_ADDRESS);
        }
        self.selected(port).map_or(0xff, |(slot, offset)| self.read(slot, offset))
    }

    /// Writes a byte of the data register, ports 0xcfc to 0xcff.
    pub fn write_data(&mut self, port: u16, value: u8) -> Effects {
        match self.selected(port) {
            Some((slot, offset)) => self.write(slot, offset, value),
            None => Effects::empty(),
        }
    }

    /// Writes the address register. Only a 32-bit access reaches it; narrower ones go to any other device
    /// that decodes those ports [PCI 3.0 3.2.2.3.2].
    pub fn write_address(&mut self, value: u32) {
        self.address = value & 0x80ff_fffc;
    }

    /// Reads a byte of memory-mapped configuration space, `offset` from the start of [`layout::ECAM`].
    #[must_use]
    pub fn read_ecam(&self, offset: u32) -> u8 {
        match ecam(offset) {
            Some((slot, Some(register))) => self.read(slot, register),
            // The extended space of an existing function has no capabilities [PCIe 5.0 7.6].
            Some((slot, None)) if self.function(slot).is_some() => 0,
            _ => 0xff,
        }
    }

    /// Writes a byte of memory-mapped configuration space.
    pub fn write_ecam(&mut self, offset: u32, value: u8) -> Effects {
        match ecam(offset) {
            Some((slot, Some(register))) => self.write(slot, register, value),
            _ => Effects::empty(),
        }
    }

    /// The function and register at a guest-physical address, if memory decoding is enabled there.
    #[must_use]
    pub fn find_memory(&self, address: GuestPhysical) -> Option<BarHit> {
        self.find(u32::try_from(address.0).ok()?, BarKind::Memory)
    }

    /// The function and register at an I/O port, if I/O decoding is enabled there.
    #[must_use]
    pub fn find_io(&self, port: u16) -> Option<BarHit> {
        self.find(port.into(), BarKind::Io)
    }

    /// The memory window that base address register `bar` of the function at `slot` decodes now: first
    /// address and bytes.
    #[must_use]
    pub fn memory_window(&self, slot: u8, bar: u8) -> Option<(GuestPhysical, u32)> {
        let (start, size) = self.function(slot)?.window(bar, BarKind::Memory)?;
        Some((GuestPhysical(start.into()), size))
    }

    /// True when the guest lets the function at `slot` access memory.
    #[must_use]
    pub fn bus_master(&self, slot: u8) -> bool {
        self.function(slot).is_some_and(ConfigurationSpace::bus_master)
    }

    /// Asserts or releases INTA# of the function at `slot`.
    pub fn set_interrupt(&mut self, slot: u8, asserted: bool) {
        if let Some(function) = self.function_mut(slot) {
            function.set_interrupt(asserted);
        }
    }

    /// Levels of the eight global system interrupts from 16 on, as bits: functions that share a line are
    /// wired together [PCI 3.0 2.2.6].
    #[must_use]
    pub fn interrupts(&self) -> u8 {
        let slots = FIRST_NIC_SLOT..;
        self.nics
            .iter()
            .zip(slots)
            .filter(|(nic, _)| nic.interrupt())
            .fold(0, |lines, (_, slot)| lines | 1 << (layout::pci_gsi(slot, 0) - 16))
    }

    fn find(&self, address: u32, kind: BarKind) -> Option<BarHit> {
        if !self.decoded[kind as usize].contains(&address.into()) {
            return None;
        }
        self.nics.iter().zip(FIRST_NIC_SLOT..).find_map(|(nic, slot)| {
            (0..6u8).find_map(|bar| {
                let (start, size) = nic.window(bar, kind)?;
                let offset = address.checked_sub(start).filter(|offset| *offset < size)?;
                Some(BarHit { slot, bar, offset, size })
            })
        })
    }

    /// Slot and register that a data port selects now: bus 0, function 0 only.
    fn selected(&self, port: u16) -> Option<(u8, u8)> {
        let [register, device_function, bus, _] = self.address.to_le_bytes();
        let enabled = self.address & CONFIG_ENABLE != 0 && bus == 0 && device_function & 7 == 0;
        enabled.then_some((device_function >> 3, register | (port & 3).to_le_bytes()[0]))
    }

    fn read(&self, slot: u8, offset: u8) -> u8 {
        self.function(slot).map_or(0xff, |function| function.read(offset))
    }

    fn write(&mut self, slot: u8, offset: u8, value: u8) -> Effects {
        let effects =
            self.function_mut(slot).map_or(Effects::empty(), |function| function.write(offset, value));
        if effects.contains(Effects::MAP_CHANGED) {
            self.note_decoded();
        }
        effects
    }

    fn note_decoded(&mut self) {
        self.decoded = [BarKind::Memory, BarKind::Io].map(|kind| {
            let windows =
                self.nics.iter().flat_map(|nic| (0..6).filter_map(move |bar| nic.window(bar, kind)));
            let windows = windows.map(|(start, size)| u64::from(start)..u64::from(start) + u64::from(size));
            windows.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end)).unwrap_or(0..0)
        });
    }

    fn function(&self, slot: u8) -> Option<&ConfigurationSpace> {
        match slot {
            0 => Some(&self.host_bridge),
            slot => self.nics.get(usize::from(slot.checked_sub(FIRST_NIC_SLOT)?)),
        }
    }

    fn function_mut(&mut self, slot: u8) -> Option<&mut ConfigurationSpace> {
        match slot {
            0 => Some(&mut self.host_bridge),
            slot => self.nics.get_mut(usize::from(slot.checked_sub(FIRST_NIC_SLOT)?)),
        }
    }
}

/// Slot and register of an offset into memory-mapped configuration space; the register is None beyond the
/// first 256 bytes. None for functions other than 0.
fn ecam(offset: u32) -> Option<(u8, Option<u8>)> {
    let device_function = u8::try_from(offset >> 12).ok()?;
    (device_function & 7 == 0).then_some((device_function >> 3, u8::try_from(offset & 0xfff).ok()))
}

fn byte_of(value: u32, index: u16) -> u8 {
    value.to_le_bytes().get(usize::from(index)).copied().unwrap_or(0xff)
}

#[cfg(test)]
mod tests;
