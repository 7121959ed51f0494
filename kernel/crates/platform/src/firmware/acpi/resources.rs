//! Resource descriptors, the elements of a device's `_CRS` [ACPI 6.5 6.4].

use super::aml::{Aml, buffer, join};
use alloc::vec;
use core::ops::RangeInclusive;

/// General flags of an address space descriptor: producer, positive decode, minimum and maximum fixed.
const WINDOW: u8 = 0x0c;
const TYPE_MEMORY: u8 = 0;
const TYPE_IO: u8 = 1;
const TYPE_BUS: u8 = 2;

/// `ResourceTemplate () { .. }`: the descriptors and an end tag without checksum [ACPI 6.5 6.4.2.9].
pub fn template(descriptors: impl IntoIterator<Item = Aml>) -> Aml {
    buffer(&join([join(descriptors), vec![0x79, 0]]))
}

/// `IO (Decode16, ..)`: `length` fixed ports from `first` on [ACPI 6.5 6.4.2.5].
pub fn io(first: u16, length: u8) -> Aml {
    let [low, high] = first.to_le_bytes();
    vec![0x47, 1, low, high, low, high, 1, length]
}

/// `IRQNoFlags () { irq }`: edge-triggered, active high [ACPI 6.5 6.4.2.1].
pub fn irq(irq: u8) -> Aml {
    let [low, high] = (1u16 << (irq & 15)).to_le_bytes();
    vec![0x22, low, high]
}

/// `Memory32Fixed (ReadWrite, ..)` [ACPI 6.5 6.4.3.4].
pub fn memory32_fixed(base: u32, length: u32) -> Aml {
    join([vec![0x86, 9, 0, 1], base.to_le_bytes().to_vec(), length.to_le_bytes().to_vec()])
}

/// `WordBusNumber`: the buses behind a host bridge [ACPI 6.5 6.4.3.5.3].
pub fn buses(range: RangeInclusive<u16>) -> Aml {
    word_window(TYPE_BUS, 0, range)
}

/// `WordIO`: I/O ports that a host bridge passes on, ISA and non-ISA alike.
pub fn io_window(range: RangeInclusive<u16>) -> Aml {
    word_window(TYPE_IO, 3, range)
}

/// `DWordMemory`: uncached, read-write addresses that a host bridge passes on [ACPI 6.5 6.4.3.5.2].
pub fn memory_window(range: RangeInclusive<u32>) -> Aml {
    let (first, last) = (*range.start(), *range.end());
    let numbers = [0, first, last, 0, last - first + 1].into_iter().flat_map(u32::to_le_bytes);
    join([vec![0x87, 23, 0, TYPE_MEMORY, WINDOW, 1], numbers.collect()])
}

fn word_window(kind: u8, type_flags: u8, range: RangeInclusive<u16>) -> Aml {
    let (first, last) = (*range.start(), *range.end());
    let numbers = [0, first, last, 0, last - first + 1].into_iter().flat_map(u16::to_le_bytes);
    join([vec![0x88, 13, 0, kind, WINDOW, type_flags], numbers.collect()])
}
