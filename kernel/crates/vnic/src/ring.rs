//! Descriptor rings in guest memory.

use crate::fault::RingKind;
use crate::registers::VnicRegisters;
use base::bits::low_u32;
use base::{GuestPhysical, GuestSpans, Memory, Span};
use intel_regs::{desc, reg};

/// Maximum number of descriptors in one fetch.
const FETCH: u32 = 16;

/// Offsets of the registers of a ring.
pub(crate) struct RingRegisters {
    base_low: u32,
    base_high: u32,
    length: u32,
    head: u32,
    pub(crate) tail: u32,
}

impl RingKind {
    /// The offsets of the ring's registers.
    #[inline(always)]
    pub(crate) fn registers(self) -> RingRegisters {
        match self {
            Self::Receive => RingRegisters {
                base_low: reg::RDBAL,
                base_high: reg::RDBAH,
                length: reg::RDLEN,
                head: reg::RDH,
                tail: reg::RDT,
            },
            Self::Transmit => RingRegisters {
                base_low: reg::TDBAL,
                base_high: reg::TDBAH,
                length: reg::TDLEN,
                head: reg::TDH,
                tail: reg::TDT,
            },
        }
    }
}

/// A ring as its registers describe it. Hardware owns the descriptors from head (inclusive) to tail (exclusive)
/// [8254x 3.2.6, 3.4].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DescriptorRing {
    kind: RingKind,
    base: u64,
    /// Length, in descriptors.
    pub(crate) length: u32,
    /// The first descriptor that hardware owns.
    pub(crate) head: u32,
    /// The first descriptor that software owns.
    pub(crate) tail: u32,
}

impl DescriptorRing {
    /// The ring as the guest set it up.
    #[inline(always)]
    pub(crate) fn new(kind: RingKind, registers: &VnicRegisters) -> Self {
        let at = kind.registers();
        Self {
            kind,
            base: u64::from(registers.get(at.base_high)) << 32 | u64::from(registers.get(at.base_low)),
            length: registers.get(at.length) / low_u32(desc::SIZE as u64),
            head: registers.get(at.head),
            tail: registers.get(at.tail),
        }
    }

    /// True when the tail points beyond the ring. An empty ring has no invalid tail.
    pub(crate) fn tail_is_beyond(&self) -> bool {
        self.length != 0 && self.tail >= self.length
    }

    /// Descriptors that hardware owns; 0 while head or tail is beyond the ring.
    pub(crate) fn available(&self) -> u32 {
        if self.head >= self.length || self.tail >= self.length {
            0
        } else if self.tail >= self.head {
            self.tail - self.head
        } else {
            self.length - self.head + self.tail
        }
    }

    /// The index of the descriptor `by` after the head; `by` is at most [`DescriptorRing::available`].
    pub(crate) fn index(&self, by: u32) -> u32 {
        let index = self.head + by;
        if index >= self.length { index - self.length } else { index }
    }

    /// Advances the head, in the register too.
    #[inline]
    pub(crate) fn advance(&mut self, by: u32, registers: &mut VnicRegisters) {
        self.head = self.index(by);
        registers.set(self.kind.registers().head, self.head);
    }

    /// The address of descriptor `index`. Wraps at the end of the address space, where no guest has memory.
    pub(crate) fn address(&self, index: u32) -> GuestPhysical {
        GuestPhysical(self.base.wrapping_add(u64::from(index) * desc::SIZE as u64))
    }
}

/// A window of descriptors read ahead, valid during one call. Within a call no index is visited twice, since the
/// guest cannot move the tail meanwhile.
pub(crate) struct RingWindow {
    first: u32,
    count: u32,
    /// Their memory.
    span: Span,
    descriptors: [[u8; desc::SIZE]; FETCH as usize],
}

impl RingWindow {
    /// An empty window.
    pub(crate) fn new() -> Self {
        Self { first: 0, count: 0, span: Span::EMPTY, descriptors: [[0; desc::SIZE]; FETCH as usize] }
    }

    /// The descriptor `by` after the head of `ring`, read together with the next ones; `None` when it is not in
    /// the guest's memory.
    #[inline]
    pub(crate) fn descriptor<M: GuestSpans>(
        &mut self,
        memory: &M,
        ring: &DescriptorRing,
        by: u32,
    ) -> Option<[u8; desc::SIZE]> {
        self.run(memory, ring, by).first().copied()
    }

    /// The same and those after it that have been read: at least one, unless it is not in the guest's memory.
    #[inline]
    pub(crate) fn run<M: GuestSpans>(
        &mut self,
        memory: &M,
        ring: &DescriptorRing,
        by: u32,
    ) -> &[[u8; desc::SIZE]] {
        let index = ring.index(by);
        if index < self.first || index >= self.first + self.count {
            self.fetch(memory, ring, index, ring.available().saturating_sub(by));
        }
        let read = self.descriptors.get(..self.count as usize).unwrap_or_default();
        read.get(index.wrapping_sub(self.first) as usize..).unwrap_or_default()
    }

    #[cold]
    fn fetch<M: GuestSpans>(&mut self, memory: &M, ring: &DescriptorRing, index: u32, owned: u32) {
        let most = FETCH.min(owned).min(ring.length - index).max(1) as usize;
        // Those after them may be outside the guest's memory. None is partly inside: they are aligned.
        self.span = memory.span(ring.address(index), most * desc::SIZE).unwrap_or(Span::EMPTY);
        (self.first, self.count) = (index, low_u32((self.span.len() / desc::SIZE) as u64));
        M::Memory::load(self.span, self.descriptors.as_flattened_mut());
    }

    /// Writes bytes into a descriptor that has been read, from this offset on.
    #[inline]
    pub(crate) fn store<M: Memory>(&self, index: u32, offset: usize, bytes: &[u8]) {
        let at = index.wrapping_sub(self.first) as usize * desc::SIZE + offset;
        M::store(self.span.part(at, bytes.len()), bytes);
    }
}

/// Writes status bytes into descriptors one after the other. Their memory is looked up once for a run of them.
pub(crate) struct StatusWriter {
    /// The memory of the descriptors from this one on.
    span: Span,
    first: u32,
}

impl StatusWriter {
    /// Nothing looked up yet.
    pub(crate) fn new() -> Self {
        Self { span: Span::EMPTY, first: 0 }
    }

    /// Writes the status byte of transmit descriptor `index`; false when it is not in the guest's memory.
    pub(crate) fn write<M: GuestSpans>(
        &mut self,
        memory: &M,
        ring: &DescriptorRing,
        index: u32,
        status: u8,
    ) -> bool {
        let offset = |first: u32| index.wrapping_sub(first) as usize * desc::SIZE + desc::TX_STATUS_OFFSET;
        if index < self.first || offset(self.first) >= self.span.len() {
            let bytes = ring.length.saturating_sub(index).max(1) as usize * desc::SIZE;
            (self.span, self.first) = (memory.span(ring.address(index), bytes).unwrap_or(Span::EMPTY), index);
        }
        let byte = self.span.part(offset(self.first), 1);
        M::Memory::store(byte, &[status]);
        !byte.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::GuestMemory;
    use testkit::FakeMemory;

    fn ring(length: u32, head: u32, tail: u32) -> DescriptorRing {
        let mut registers = VnicRegisters::new();
        registers.set(reg::TDLEN, length * 16);
        registers.set(reg::TDH, head);
        registers.set(reg::TDT, tail);
        DescriptorRing::new(RingKind::Transmit, &registers)
    }

    #[test]
    fn available_wraps_at_the_end() {
        assert_eq!(ring(8, 2, 5).available(), 3);
        assert_eq!(ring(8, 5, 2).available(), 5);
        assert_eq!(ring(8, 3, 3).available(), 0);
        assert_eq!(ring(0, 0, 0).available(), 0);
        assert_eq!(ring(8, 0, 8).available(), 0);
        assert_eq!(ring(8, 8, 0).available(), 0);
    }

    #[test]
    fn window_reads_runs_and_wraps() {
        let memory = FakeMemory::new(0x1000);
        for index in 0..24u8 {
            memory.write(GuestPhysical(u64::from(index) * 16), &[index; 16]).unwrap();
        }
        let ring = ring(24, 20, 19);
        let mut window = RingWindow::new();
        for by in 0..ring.available() {
            let expected = (20 + by) % 24;
            assert_eq!(window.descriptor(&memory, &ring, by), Some([expected as u8; 16]), "{by}");
        }
    }

    #[test]
    fn window_returns_only_descriptors_inside_memory() {
        let memory = FakeMemory::new(32);
        let ring = ring(8, 0, 7);
        let mut window = RingWindow::new();
        assert!(window.descriptor(&memory, &ring, 0).is_some());
        assert!(window.descriptor(&memory, &ring, 1).is_some());
        assert!(window.descriptor(&memory, &ring, 2).is_none());
    }
}
