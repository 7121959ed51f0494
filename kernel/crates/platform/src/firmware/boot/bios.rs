//! The entry points of PC firmware that systems jump to or call: there is no service behind them but the reset.
//!
//! Code is at the addresses that IBM's firmware had and systems rely on. The reset is written so that it does the
//! same in 16-bit, 32-bit and 64-bit mode: some jump there without leaving the mode that they are in.

use crate::layout;
use base::{GuestMemory, GuestPhysical, MemoryError};

/// The segment of the firmware's code.
const SEGMENT: u16 = 0xf000;
const SEGMENT_BASE: u64 = (SEGMENT as u64) << 4;

/// The processor's first instruction after reset [SDM3A 10.1.4].
const RESET_VECTOR: u16 = 0xfff0;
/// Where it jumps to.
const RESET: u16 = 0xffe0;
/// Power-on self-test, to which programs jump for a restart.
const POST: u16 = 0xe05b;
const MEMORY_SIZE: u16 = 0xf841;
const EQUIPMENT: u16 = 0xf84d;
const DUMMY: u16 = 0xff53;
/// Handlers without an address that anyone relies on.
const NO_SERVICE: u16 = 0xe100;
const END_MASTER: u16 = 0xe120;
const END_SLAVE: u16 = 0xe130;
/// Date of the firmware, a zero, and the model: FCh, a PC/AT.
const DATE: u16 = 0xfff5;
const DATE_AND_MODEL: &[u8] = b"01/01/26\0\xfc";

/// mov al, FEh; out 64h, al (reset by the keyboard controller); hlt; and back to hlt.
const RESET_CODE: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];
/// jmp short to `RESET`, counted from the end of these two bytes.
const RESET_JUMP: &[u8] = &[0xeb, (RESET.wrapping_sub(RESET_VECTOR + 2)).to_le_bytes()[0]];
const _: () = assert!(RESET_VECTOR + 2 - RESET <= 128);
/// iret.
const DUMMY_CODE: &[u8] = &[0xcf];
/// push bp; mov bp, sp; or byte [bp + 6], 41h (CF and ZF of the caller); pop bp; mov ah, 86h ("not supported"); iret.
const NO_SERVICE_CODE: &[u8] = &[0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x41, 0x5d, 0xb4, 0x86, 0xcf];
/// push ds; xor ax, ax; mov ds, ax; mov ax, [413h]; pop ds; iret.
const MEMORY_SIZE_CODE: &[u8] = &[0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, 0x13, 0x04, 0x1f, 0xcf];
/// The same with [410h].
const EQUIPMENT_CODE: &[u8] = &[0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, 0x10, 0x04, 0x1f, 0xcf];
/// push ax; mov al, 20h (end of interrupt); out 20h, al; pop ax; iret.
const END_MASTER_CODE: &[u8] = &[0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf];
/// The same, with out A0h, al before.
const END_SLAVE_CODE: &[u8] = &[0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf];

const CODE: [(u16, &[u8]); 9] = [
    (POST, RESET_CODE),
    (NO_SERVICE, NO_SERVICE_CODE),
    (END_MASTER, END_MASTER_CODE),
    (END_SLAVE, END_SLAVE_CODE),
    (MEMORY_SIZE, MEMORY_SIZE_CODE),
    (EQUIPMENT, EQUIPMENT_CODE),
    (DUMMY, DUMMY_CODE),
    (RESET, RESET_CODE),
    (RESET_VECTOR, RESET_JUMP),
];

/// Writes the entry points, the interrupt vectors of real mode, and the fields of the BIOS data areas that systems
/// read.
pub(super) fn write<M: GuestMemory>(memory: &M) -> Result<(), MemoryError> {
    for (offset, code) in CODE {
        memory.write(GuestPhysical(SEGMENT_BASE + u64::from(offset)), code)?;
    }
    memory.write(GuestPhysical(SEGMENT_BASE + u64::from(DATE)), DATE_AND_MODEL)?;
    let mut vectors = [[0; 4]; 256];
    for (vector, pointer) in (0..=0xff).zip(&mut vectors) {
        let [offset_low, offset_high] = handler(vector).to_le_bytes();
        let [segment_low, segment_high] = if handler(vector) == 0 { [0, 0] } else { SEGMENT.to_le_bytes() };
        *pointer = [offset_low, offset_high, segment_low, segment_high];
    }
    memory.write(GuestPhysical(0), vectors.as_flattened())?;
    write_data_areas(memory)
}

/// The handler of a vector of real mode.
fn handler(vector: u8) -> u16 {
    match vector {
        0x08..=0x0f => END_MASTER,
        0x70..=0x77 => END_SLAVE,
        0x11 => EQUIPMENT,
        0x12 => MEMORY_SIZE,
        // Disk, serial line, system, keyboard, printer, clock.
        0x13..=0x17 | 0x1a => NO_SERVICE,
        // Nothing to boot from, and boot: both start over.
        0x18 | 0x19 => POST,
        // Pointers to tables that are not there.
        0x1d..=0x1f | 0x41 | 0x43 | 0x46 => 0,
        _ => DUMMY,
    }
}

/// The port of the first serial line, the segment of the extended data area, the equipment (a coprocessor, one serial
/// line), and the KiB of memory below the extended area; there its own size in KiB.
fn write_data_areas<M: GuestMemory>(memory: &M) -> Result<(), MemoryError> {
    const EQUIPMENT_WORD: u64 = 1 << 1 | 1 << 9;
    let word = |at: u64, value: u64| memory.write(GuestPhysical(at), &value.to_le_bytes()[..2]);
    word(0x400, layout::COM1.into())?;
    word(0x40e, layout::EBDA >> 4)?;
    word(0x410, EQUIPMENT_WORD)?;
    word(0x413, layout::EBDA >> 10)?;
    word(layout::EBDA, (layout::VGA_WINDOW.start - layout::EBDA) >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeMemory;

    fn written() -> FakeMemory {
        let memory = FakeMemory::new(1 << 20);
        write(&memory).expect("it is there");
        memory
    }

    /// Follows the short jumps from an address, and returns what is executed there.
    fn executed(memory: &FakeMemory, mut at: u64) -> [u8; 4] {
        loop {
            let bytes: [u8; 4] = memory.bytes(at, 4).try_into().expect("four bytes");
            if bytes[0] != 0xeb {
                return bytes;
            }
            at = at.wrapping_add(2).wrapping_add_signed(i64::from(bytes[1] as i8));
        }
    }

    #[test]
    fn the_processors_reset_vector_and_the_firmwares_restart_reset_the_machine() {
        let memory = written();
        for at in [0xf_fff0, 0xf_e05b] {
            assert_eq!(executed(&memory, at), [0xb0, 0xfe, 0xe6, 0x64], "{at:#x}");
        }
        assert_eq!(memory.bytes(0xf_fffe, 1), [0xfc]);
    }

    #[test]
    fn every_vector_of_real_mode_leads_to_code_or_to_no_table() {
        let memory = written();
        for vector in 0..=0xffu64 {
            let pointer = memory.read_u32(4 * vector);
            if pointer == 0 {
                assert!([0x1d, 0x1e, 0x1f, 0x41, 0x43, 0x46].contains(&vector), "{vector:#x}");
                continue;
            }
            let at = u64::from(pointer >> 16 << 4) + u64::from(pointer & 0xffff);
            assert!(CODE.iter().any(|(offset, _)| at == SEGMENT_BASE + u64::from(*offset)), "{vector:#x}");
        }
        for vector in [0x18, 0x19] {
            assert_eq!(memory.read_u32(4 * vector), 0xf000_e05b);
        }
    }

    #[test]
    fn code_does_not_overlap_and_data_areas_are_filled_in() {
        let mut ends: alloc::vec::Vec<_> =
            CODE.iter().map(|(at, code)| (*at, *at as usize + code.len())).collect();
        ends.sort_unstable();
        assert!(ends.windows(2).all(|pair| pair[0].1 <= usize::from(pair[1].0)));
        assert!(ends.iter().all(|(_, end)| *end <= usize::from(DATE)));
        let memory = written();
        assert_eq!(memory.read_u32(0x410) & 0xffff, 0x202);
        assert_eq!((memory.read_u32(0x413) & 0xffff, memory.bytes(0x9_fc00, 2)), (639, [1, 0].to_vec()));
    }
}
