//! The guest's bus: memory, vNICs and the devices of the board.

use crate::virt::VirtualCpu;
use crate::vm::Vm;
use base::{GuestMemory, GuestPhysical, Instant, Width};

impl<V: VirtualCpu> Vm<V> {
    /// Reads memory or a device. The access must not cross a page.
    pub(super) fn memory_read(&mut self, at: GuestPhysical, width: Width, now: Instant) -> u64 {
        let mut bytes = [0; 8];
        let part = &mut bytes[..width.bytes()];
        if self.memory.read(at, part).is_ok() {
            return u64::from_le_bytes(bytes);
        }
        self.device_read(at, width, now)
    }

    /// Reads a device, for an access that nested paging has ended: it maps all memory.
    pub(super) fn device_read(&mut self, at: GuestPhysical, width: Width, now: Instant) -> u64 {
        // An access to the local APIC's page never leaves the processor [SDM3A 11.4.1], and the chipset's decoders
        // come before the bus: a base address register laid over them hides nothing.
        if let Some((value, effects)) = self.pc.mmio_read(self.vcpu.number, at, width, now) {
            self.apply(effects);
            return value;
        }
        if let Some((index, offset)) = self.find_nic_memory(at) {
            let (slot, front) = self.nics.vnic(index);
            let (value, effects) = front.memory_read(offset, width, now, slot);
            self.apply_nic(index, effects, now);
            return value;
        }
        self.statistics.unmapped += 1;
        width.mask()
    }

    /// Writes memory or a device. The access must not cross a page.
    pub(super) fn memory_write(&mut self, at: GuestPhysical, width: Width, value: u64, now: Instant) {
        if self.memory.write(at, &value.to_le_bytes()[..width.bytes()]).is_ok() {
            return;
        }
        self.device_write(at, width, value, now);
    }

    /// Writes a device, as [`device_read`](Self::device_read) reads one.
    pub(super) fn device_write(&mut self, at: GuestPhysical, width: Width, value: u64, now: Instant) {
        if let Some(effects) = self.pc.mmio_write(self.vcpu.number, at, width, value, now) {
            self.apply(effects);
        } else if let Some((index, offset)) = self.find_nic_memory(at) {
            let (slot, front) = self.nics.vnic(index);
            let effects = front.memory_write(offset, width, value, now, slot);
            self.apply_nic(index, effects, now);
        } else {
            self.statistics.unmapped += 1;
        }
    }

    /// Reads a port.
    pub(super) fn port_read(&mut self, port: u16, width: Width, now: Instant) -> u32 {
        if let Some((index, offset)) = self.find_nic_port(port) {
            let (slot, front) = self.nics.vnic(index);
            let (value, effects) = front.port_read(offset, width, now, slot);
            self.apply_nic(index, effects, now);
            return value;
        }
        let (value, effects) = self.pc.port_read(port, width, now);
        self.apply(effects);
        value
    }

    /// Writes a port.
    pub(super) fn port_write(&mut self, port: u16, width: Width, value: u32, now: Instant) {
        if let Some((index, offset)) = self.find_nic_port(port) {
            let (slot, front) = self.nics.vnic(index);
            let effects = front.port_write(offset, width, value, now, slot);
            return self.apply_nic(index, effects, now);
        }
        let effects = self.pc.port_write(port, width, value, now);
        self.apply(effects);
    }

    fn find_nic_memory(&self, at: GuestPhysical) -> Option<(usize, u32)> {
        let hit = self.pc.find_bar(at)?;
        self.nics.find(hit.slot).map(|index| (index, hit.offset))
    }

    fn find_nic_port(&self, port: u16) -> Option<(usize, u32)> {
        let hit = self.pc.find_port(port).filter(|_| !self.pc.has_port(port))?;
        self.nics.find(hit.slot).map(|index| (index, hit.offset))
    }
}
