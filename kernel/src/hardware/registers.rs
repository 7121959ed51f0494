//! The registers of the machine itself, as the crate `machine` accesses them.

use super::pci::PciConfiguration;
use crate::memory::window::{self, RegisterWindow};
use crate::memory::{PAGE, PageFrames};
use crate::processor::narrow::to_usize;
use crate::processor::{clock, cpu};
use base::HostPhysical;
use machine::MachineIo;
use pci_types::{ConfigRegionAccess, PciAddress};
use spin::Mutex;
use x86_64::instructions::port::Port;

/// Pages that have been mapped.
static PAGES: Mutex<heapless::Vec<(HostPhysical, RegisterWindow), 96>> = Mutex::new(heapless::Vec::new());

/// The machine's registers. With page frames, pages of registers are mapped when they are accessed for the first time.
pub struct MachineRegisters<'a>(pub Option<&'a mut PageFrames>);

impl MachineRegisters<'_> {
    /// The page of a register; `None` if it cannot be mapped.
    pub fn page(&mut self, at: HostPhysical) -> Option<RegisterWindow> {
        let (page, mut pages) = (HostPhysical(at.0 & !(PAGE - 1)), PAGES.lock());
        if let Some((_, window)) = pages.iter().find(|(known, _)| *known == page) {
            return Some(*window);
        }
        // Before it is mapped: what is mapped stays so, and a register is read again and again.
        if pages.is_full() {
            return None;
        }
        let mapped = window::map(self.0.as_mut()?, page, PAGE);
        let window = mapped.inspect_err(|error| log::warn!("registers of the machine: {error}")).ok()?;
        pages.push((page, window)).ok()?;
        Some(window)
    }
}

fn offset(at: HostPhysical) -> usize {
    to_usize(at.0 & (PAGE - 1))
}

// SAFETY: for the ports: `machine` accesses those of timers, which affect nothing else, and those that switch the
// machine off or reset it. The same holds for the registers in configuration space.
impl MachineIo for MachineRegisters<'_> {
    fn in8(&mut self, port: u16) -> u8 {
        // SAFETY: above.
        unsafe { Port::new(port).read() }
    }

    fn out8(&mut self, port: u16, value: u8) {
        // SAFETY: above.
        unsafe { Port::new(port).write(value) }
    }

    fn in16(&mut self, port: u16) -> u16 {
        // SAFETY: above.
        unsafe { Port::new(port).read() }
    }

    fn out16(&mut self, port: u16, value: u16) {
        // SAFETY: above.
        unsafe { Port::new(port).write(value) }
    }

    fn in32(&mut self, port: u16) -> u32 {
        // SAFETY: above.
        unsafe { Port::new(port).read() }
    }

    fn read(&mut self, at: HostPhysical) -> u32 {
        self.page(at).map_or(u32::MAX, |page| page.read(offset(at)))
    }

    fn write(&mut self, at: HostPhysical, value: u32) {
        if let Some(mut page) = self.page(at) {
            page.write(offset(at), value);
        }
    }

    fn read_pci(&mut self, device: u8, function: u8, offset: u8) -> u32 {
        // SAFETY: above.
        unsafe { PciConfiguration.read(PciAddress::new(0, 0, device, function), offset.into()) }
    }

    fn write_pci(&mut self, device: u8, function: u8, offset: u8, value: u32) {
        // SAFETY: above.
        unsafe { PciConfiguration.write(PciAddress::new(0, 0, device, function), offset.into(), value) }
    }

    fn tsc(&mut self) -> u64 {
        cpu::rdtsc()
    }

    fn wait(&mut self, micros: u64) {
        let start = cpu::rdtsc();
        while cpu::rdtsc().wrapping_sub(start) < clock::ticks(1000 * micros) {}
    }
}
