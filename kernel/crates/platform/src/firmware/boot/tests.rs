use super::*;
use crate::acpi;
use alloc::vec;
use alloc::vec::Vec;
use base::MemoryError;
use core::cell::RefCell;
use proptest::prelude::*;

/// Flat guest memory.
pub(super) struct Flat(pub RefCell<Vec<u8>>);

impl Flat {
    pub fn new(bytes: usize) -> Self {
        Self(RefCell::new(vec![0; bytes]))
    }

    fn bytes<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(GuestPhysical(at), &mut bytes).expect("inside");
        bytes
    }

    fn qword(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    fn dword(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }
}

impl GuestMemory for Flat {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        let outside = MemoryError::Outside { at, length: into.len() };
        let memory = self.0.borrow();
        let start = usize::try_from(at.0).map_err(|_| outside)?;
        let range = start..start.checked_add(into.len()).ok_or(outside)?;
        into.copy_from_slice(memory.get(range).ok_or(outside)?);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let outside = MemoryError::Outside { at, length: from.len() };
        let mut memory = self.0.borrow_mut();
        let start = usize::try_from(at.0).map_err(|_| outside)?;
        let range = start..start.checked_add(from.len()).ok_or(outside)?;
        memory.get_mut(range).ok_or(outside)?.copy_from_slice(from);
        Ok(())
    }
}

const MEMORY: u64 = 64 << 20;
const SETUP_SECTORS: usize = 2;

/// A bzImage whose protected-mode part counts its own bytes.
pub(super) fn bzimage() -> Vec<u8> {
    let mut image = vec![0; (SETUP_SECTORS + 1) * 512];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[SETUP_SECTORS as u8]);
    put(0x1fe, &0xaa55u16.to_le_bytes());
    put(0x200, &[0xeb, 0x6a]);
    put(0x202, b"HdrS");
    put(0x206, &0x020fu16.to_le_bytes());
    put(0x211, &[0x01]);
    put(0x22c, &0x7fff_ffffu32.to_le_bytes());
    put(0x230, &0x20_0000u32.to_le_bytes());
    put(0x234, &[1]);
    put(0x236, &0x3fu16.to_le_bytes());
    put(0x238, &2047u32.to_le_bytes());
    put(0x258, &0x100_0000u64.to_le_bytes());
    put(0x260, &0x80_0000u32.to_le_bytes());
    image.extend((0..0x1000u32).map(|i| i as u8));
    image
}

fn load_with(memory: &Flat, kernel: &[u8], initrd: &[u8], text: &str) -> Result<EntryState, LoadError> {
    let acpi = acpi::build(1);
    let bytes = memory.0.borrow().len() as u64;
    load(
        memory,
        bytes,
        &BootImages { kernel, initrd, command_line: text, acpi: &acpi, identity: &DmiIdentity::default() },
    )
}

#[test]
fn a_bzimage_is_loaded_where_it_prefers_and_starts_at_its_64_bit_entry() {
    let memory = Flat::new(MEMORY as usize);
    let state = load_with(&memory, &bzimage(), b"initrd!", "console=ttyS0").expect("loads");
    assert_eq!(state.rip, 0x100_0200);
    assert_eq!(memory.bytes(0x100_0000), [0, 1, 2, 3]);
    assert_eq!((state.code_selector, state.data_selector, state.gdt_limit), (0x10, 0x18, 31));
    assert_eq!(memory.qword(state.gdt_base + 0x10), 0x00af_9b00_0000_ffff);
    assert_eq!(memory.qword(state.gdt_base + 0x18), 0x00cf_9300_0000_ffff);
}

#[test]
fn the_zero_page_says_where_everything_is() {
    let memory = Flat::new(MEMORY as usize);
    let state = load_with(&memory, &bzimage(), b"initrd!", "console=ttyS0").expect("loads");
    let page = state.rsi;
    assert_eq!(memory.bytes(page + 0x202), *b"HdrS");
    assert_eq!((memory.bytes(page + 0x210), memory.bytes(page + 0x1ef)), ([0xff], [0]));
    assert_eq!(memory.bytes::<1>(page + 0x211)[0] & 1, 1);
    let command_line = memory.dword(page + 0x228);
    assert_eq!(memory.bytes(command_line.into()), *b"console=ttyS0\0");
    let (image, size) = (memory.dword(page + 0x218), memory.dword(page + 0x21c));
    assert_eq!((size, memory.bytes(image.into())), (7, *b"initrd!"));
    assert_eq!(u64::from(image), (MEMORY - 7) & !4095);
    assert_eq!(memory.bytes(memory.qword(page + 0x70)), *b"RSD PTR ");
    let [entries] = memory.bytes(page + 0x1e8);
    let usable: u64 = (0..u64::from(entries))
        .map(|entry| page + 0x2d0 + 20 * entry)
        .filter(|at| memory.dword(at + 16) == 1)
        .map(|at| memory.qword(at + 8))
        .sum();
    assert_eq!((entries, usable), (6, 0x9_fc00 + MEMORY - (1 << 20)));
}

#[test]
fn page_tables_map_four_gib_to_themselves() {
    let memory = Flat::new(MEMORY as usize);
    let state = load_with(&memory, &bzimage(), b"", "").expect("loads");
    for address in [0u64, 0x20_0000, 0x100_0200, 0xbfff_ffff, 0xffff_f000] {
        let pml4 = memory.qword(state.cr3);
        let pdpt = memory.qword((pml4 & !0xfff) + 8 * (address >> 30));
        let entry = memory.qword((pdpt & !0xfff) + 8 * (address >> 21 & 511));
        assert_eq!((pml4 & 3, pdpt & 3, entry & 0xfff), (3, 3, 0x83));
        assert_eq!(entry & !0xfff | address & 0x1f_ffff, address);
    }
}

#[test]
fn smbios_is_found_where_pcs_have_it() {
    let memory = Flat::new(MEMORY as usize);
    load_with(&memory, &bzimage(), b"", "").expect("loads");
    assert_eq!(memory.bytes(0xf_0000), *b"_SM_");
    assert_eq!(memory.bytes(0x40e), 0x9fc0u16.to_le_bytes());
}

#[test]
fn a_small_guest_gets_the_kernel_lower() {
    let memory = Flat::new(16 << 20);
    assert_eq!(load_with(&memory, &bzimage(), b"", "").expect("loads").rip, 0x20_0200);
    let memory = Flat::new(8 << 20);
    assert_eq!(
        load_with(&memory, &bzimage(), b"", ""),
        Err(LoadError::KernelDoesNotFit { start: 0x20_0000, end: 0xa0_0000 })
    );
}

#[test]
fn an_initrd_stays_clear_of_the_kernel_and_below_the_kernels_limit() {
    let memory = Flat::new(MEMORY as usize);
    let mut kernel = bzimage();
    kernel[0x22c..0x230].copy_from_slice(&0x1ff_ffffu32.to_le_bytes());
    let state = load_with(&memory, &kernel, &[7; 4096], "").expect("loads");
    assert_eq!(memory.dword(state.rsi + 0x218), 0x1ff_f000);
    let initrd = vec![1; 0x80_0001];
    assert_eq!(
        load_with(&memory, &kernel, &initrd, ""),
        Err(LoadError::InitrdDoesNotFit { length: 0x80_0001, from: 0x180_0000, limit: 0x200_0000 })
    );
}

#[test]
fn unsuitable_images_and_command_lines_are_named() {
    let memory = Flat::new(MEMORY as usize);
    let load = |kernel: &[u8], text: &str| load_with(&memory, kernel, b"", text);
    assert_eq!(load(b"MZ", ""), Err(LoadError::UnknownImage { length: 2 }));
    let mut old = bzimage();
    old[0x206] = 0x0b;
    assert_eq!(load(&old, ""), Err(LoadError::OldProtocol { major: 2, minor: 11 }));
    let mut only_32 = bzimage();
    only_32[0x236] = 0x3e;
    assert_eq!(load(&only_32, ""), Err(LoadError::No64BitEntry { xloadflags: 0x3e }));
    assert!(matches!(load(&bzimage()[..0x700], ""), Err(LoadError::Truncated { .. })));
    let mut counted = bzimage();
    counted[0x1f4..0x1f8].copy_from_slice(&0x100u32.to_le_bytes());
    assert!(load(&counted, "").is_ok());
    let cut = LoadError::Truncated { what: "the protected-mode part", end: 0x1600, length: 0x15ff };
    assert_eq!(load(&counted[..0x15ff], ""), Err(cut));
    let long = "x".repeat(2048);
    assert_eq!(load(&bzimage(), &long), Err(LoadError::CommandLineTooLong { length: 2048, limit: 2047 }));
    assert_eq!(load(&bzimage(), "a\0b"), Err(LoadError::CommandLineHasZero { at: 1 }));
}

/// An ELF executable with one segment of 8 bytes in the file and 24 in memory at 2 MiB.
pub(super) fn elf() -> Vec<u8> {
    let mut image = vec![0; 0x100];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(24, &0x20_0004u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &1u16.to_le_bytes());
    put(64, &1u32.to_le_bytes());
    let numbers = [0x80u64, 0x20_0000, 0x20_0000, 8, 24];
    for (index, number) in numbers.into_iter().enumerate() {
        put(72 + 8 * index, &number.to_le_bytes());
    }
    put(0x80, &[1, 2, 3, 4, 5, 6, 7, 8]);
    image
}

/// Images that cannot be started, each with the start of the message.
pub(super) fn unsuitable() -> Vec<(Vec<u8>, &'static str)> {
    let elf_with = |at: usize, bytes: &[u8]| {
        let mut image = elf();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let linux_with = |at: usize, bytes: &[u8]| {
        let mut image = bzimage();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    vec![
        (Vec::new(), "the kernel image of 0 bytes is neither"),
        (elf_with(4, &[1]), "the ELF executable cannot be started: EI_CLASS is 0x1, and must be 2"),
        (elf_with(5, &[2]), "the ELF executable cannot be started: EI_DATA is 0x2, and must be 1"),
        (elf_with(16, &[3]), "the ELF executable cannot be started: e_type is 0x3, and must be 0x2"),
        (elf_with(18, &[183]), "the ELF executable cannot be started: e_machine is 0xb7, and must be 0x3e"),
        (elf_with(54, &[32]), "the ELF executable cannot be started: e_phentsize is 0x20, and must be 0x38"),
        (
            elf_with(56, &[0]),
            "the ELF executable cannot be started: e_phnum is 0x0, and must be from 1 to 64",
        ),
        (elf_with(64, &[4]), "the ELF executable cannot be started: e_entry is 0x200004, and must be in one"),
        (elf()[..0x87].to_vec(), "the kernel image is truncated: a segment ends at byte 136"),
        (elf()[..70].to_vec(), "the kernel image is truncated: a header ends at byte 120"),
        (
            linux_with(0x206, &[5, 2]),
            "the kernel has Linux boot protocol 2.05, and 2.12 or later is required",
        ),
        (linux_with(0x236, &[0]), "the kernel has no 64-bit entry point: xloadflags is 0x0"),
        (linux_with(0x260, &[0, 0, 0, 0x10]), "the kernel needs memory from 0x200000 to 0x10200000"),
        (linux_with(0x258, &[0; 8])[..0x400].to_vec(), "the kernel image is truncated"),
    ]
}

#[test]
fn a_check_says_what_loading_would() {
    let acpi = acpi::build(1);
    let mut images: Vec<Vec<u8>> = unsuitable().into_iter().map(|(image, _)| image).collect();
    images.extend([elf(), bzimage()]);
    for image in &images {
        for (initrd, text) in [(0, ""), (9 << 20, "x"), (0, "a\0b"), (60 << 20, "")] {
            let initrd = vec![1; initrd];
            let memory = Flat::new(32 << 20);
            let loaded = load_with(&memory, image, &initrd, text);
            let images = BootImages {
                kernel: image,
                initrd: &initrd,
                command_line: text,
                acpi: &acpi,
                identity: &DmiIdentity::default(),
            };
            assert_eq!(check(32 << 20, &images), loaded);
        }
    }
}

#[test]
fn what_cannot_be_started_is_named_with_what_would_be_right() {
    let acpi = acpi::build(1);
    for (kernel, expected) in unsuitable() {
        let images = BootImages {
            kernel: &kernel,
            initrd: b"",
            command_line: "",
            acpi: &acpi,
            identity: &DmiIdentity::default(),
        };
        let said = alloc::format!("{}", check(MEMORY, &images).expect_err(expected));
        assert!(said.starts_with(expected), "{said}");
    }
    let low = LoadError::KernelDoesNotFit { start: 0x200_0000, end: 0x2ff_f000 };
    assert!(alloc::format!("{low}").ends_with("give it at least 48 MiB"));
    let high = LoadError::KernelDoesNotFit { start: 0x1000, end: 0x2000 };
    assert!(alloc::format!("{high}").ends_with("a kernel can be loaded from 0x100000 to 0xc0000000"));
}

#[test]
fn a_check_takes_no_longer_for_more_memory() {
    let acpi = acpi::build(1);
    let images = BootImages {
        kernel: &bzimage(),
        initrd: b"",
        command_line: "",
        acpi: &acpi,
        identity: &DmiIdentity::default(),
    };
    assert!(check(1 << 40, &images).is_ok());
    assert!(check(u64::MAX, &images).is_ok(), "sums that overflow are none of it");
    assert!(check(0, &images).is_err());
}

#[test]
fn an_elf_executable_is_loaded_cleared_and_finds_its_boot_parameters() {
    let memory = Flat::new(MEMORY as usize);
    memory.write(GuestPhysical(0x20_0000), &[0xff; 32]).expect("inside");
    let state = load_with(&memory, &elf(), b"", "verdict").expect("loads");
    assert_eq!(state.rip, 0x20_0004);
    let mut expected = [0; 32];
    expected[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    expected[24..].fill(0xff);
    assert_eq!(memory.bytes(0x20_0000), expected);
    let command_line = memory.dword(state.rsi + 0x228);
    assert_eq!(memory.bytes(command_line.into()), *b"verdict\0");
    assert_eq!(memory.bytes(state.rsi + 0x202), *b"HdrS");
}

#[test]
fn an_entry_point_is_virtual_or_else_physical() {
    let memory = Flat::new(MEMORY as usize);
    let with = |virtual_address: u64| {
        let mut image = elf();
        image[80..88].copy_from_slice(&virtual_address.to_le_bytes());
        load_with(&memory, &image, b"", "").expect("loads").rip
    };
    assert_eq!(with(0x20_0002), 0x20_0002, "linked two bytes higher than loaded");
    assert_eq!(with(0xffff_ffff_8020_0000), 0x20_0004, "as Linux does it");
}

#[test]
fn elf_segments_outside_memory_and_entries_outside_segments_are_refused() {
    let memory = Flat::new(MEMORY as usize);
    let with = |at: usize, value: u64| {
        let mut image = elf();
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        load_with(&memory, &image, b"", "")
    };
    assert!(matches!(with(88, 0x1000), Err(LoadError::KernelDoesNotFit { start: 0x1000, .. })));
    assert!(matches!(with(88, u64::MAX - 3), Err(LoadError::KernelDoesNotFit { .. })));
    assert!(matches!(with(104, u64::MAX), Err(LoadError::KernelDoesNotFit { .. })));
    assert!(matches!(with(24, 4), Err(LoadError::UnsuitableElf { field: "e_entry", value: 4, .. })));
    assert!(matches!(with(96, 25), Err(LoadError::UnsuitableElf { field: "p_filesz", value: 25, .. })));
    assert!(matches!(with(72, u64::MAX - 1), Err(LoadError::Truncated { .. })));
    assert!(matches!(with(32, u64::MAX - 1), Err(LoadError::Truncated { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_images_never_panic(
        is_elf: bool, damage in proptest::collection::vec((0usize..0x280, any::<u8>()), 0..6), cut in 0usize..0x2000
    ) {
        let mut image = if is_elf { elf() } else { bzimage() };
        for (at, byte) in damage {
            if let Some(place) = image.get_mut(at) {
                *place = byte;
            }
        }
        image.truncate(cut);
        let memory = Flat::new(24 << 20);
        let _ = load_with(&memory, &image, b"initrd", "text");
    }
}
