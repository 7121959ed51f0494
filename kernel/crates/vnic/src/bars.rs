//! The windows of the base address registers: accesses of any width to the 32-bit registers behind them.

use crate::front::{DataHalf, VnicFront};
use base::bits::low_u32;
use base::registers32::{self, Narrow, Registers32};
use base::{Effects, Instant, Width};
use intel_regs::pci;

/// The memory window during one access.
struct MemoryBar<'a, D> {
    front: &'a mut VnicFront,
    engine: D,
    now: Instant,
    /// Effects of the access.
    effects: Effects,
}

impl<D: DataHalf> Registers32 for MemoryBar<'_, D> {
    fn read(&mut self, offset: u64) -> u32 {
        let (value, effects) = self.front.read(low_u32(offset), self.now, &mut self.engine);
        self.effects |= effects;
        value
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.effects |= self.front.write(low_u32(offset), value, self.now, &mut self.engine);
    }
}

/// The I/O window: `IOADDR` and, through it, the registers [8254x 13.2.2].
struct IoBar<'a, D>(MemoryBar<'a, D>);

impl<D: DataHalf> Registers32 for IoBar<'_, D> {
    fn read(&mut self, offset: u64) -> u32 {
        match low_u32(offset) {
            pci::IOADDR => self.0.front.io_address,
            pci::IODATA => self.0.read(self.0.front.io_address.into()),
            _ => 0,
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match low_u32(offset) {
            pci::IOADDR => self.0.front.io_address = value,
            pci::IODATA => self.0.write(self.0.front.io_address.into(), value),
            _ => {}
        }
    }
}

impl VnicFront {
    fn bar<D>(&mut self, now: Instant, engine: D) -> MemoryBar<'_, D> {
        MemoryBar { front: self, engine, now, effects: Effects::empty() }
    }

    /// Reads at `offset` of the memory window. Reading has side effects: it clears `ICR` and the statistics.
    pub fn memory_read(
        &mut self,
        offset: u32,
        width: Width,
        now: Instant,
        engine: impl DataHalf,
    ) -> (u64, Effects) {
        let mut bar = self.bar(now, engine);
        (registers32::read(&mut bar, offset.into(), width), bar.effects)
    }

    /// Writes at `offset` of the memory window. Registers must be written whole [8254x 13.2]; partial writes are ignored.
    pub fn memory_write(
        &mut self,
        offset: u32,
        width: Width,
        value: u64,
        now: Instant,
        engine: impl DataHalf,
    ) -> Effects {
        let mut bar = self.bar(now, engine);
        registers32::write(&mut bar, offset.into(), width, value, Narrow::Ignore);
        bar.effects
    }

    /// Reads at `offset` of the I/O window.
    pub fn port_read(
        &mut self,
        offset: u32,
        width: Width,
        now: Instant,
        engine: impl DataHalf,
    ) -> (u32, Effects) {
        let mut bar = IoBar(self.bar(now, engine));
        (low_u32(registers32::read(&mut bar, offset.into(), width)), bar.0.effects)
    }

    /// Writes at `offset` of the I/O window. `IOADDR` can be written in parts, `IODATA` only as a whole.
    pub fn port_write(
        &mut self,
        offset: u32,
        width: Width,
        value: u32,
        now: Instant,
        engine: impl DataHalf,
    ) -> Effects {
        let mut bar = IoBar(self.bar(now, engine));
        let narrow = if offset < pci::IODATA { Narrow::Merge } else { Narrow::Ignore };
        registers32::write(&mut bar, offset.into(), width, value.into(), narrow);
        bar.0.effects
    }
}
