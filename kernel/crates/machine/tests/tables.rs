//! The tables of machines that exist, and of machines that should not.

mod support;

use base::HostPhysical;
use machine::{FirmwareMemory, MachineInfo, Register, RootError, Signature, TableFault, Wire};
use proptest::prelude::*;
use support::{Memory, START};

/// Corrects the checksum at `at` of what sums up.
fn sum(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
}

/// A table with its header.
fn table(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut table =
        [&name[..], &(36 + body.len() as u32).to_le_bytes(), &[1, 0], b"TEST  TESTTESTAAAABBBBCCCC"].concat();
    table.extend(body);
    sum(&mut table, 9);
    table
}

/// An RSDP at [`START`], an XSDT and an RSDT behind it, and these tables.
fn memory(tables: &[Vec<u8>]) -> Memory {
    memory_with(tables, &[])
}

/// The same with further entries in both lists.
fn memory_with(tables: &[Vec<u8>], more: &[u32]) -> Memory {
    let count = tables.len() + more.len();
    let (xsdt, rsdt) = (START + 64, START + 64 + 36 + 8 * count);
    let mut at = (rsdt + 36 + 4 * count) as u32;
    let mut places: Vec<u32> = Vec::new();
    for table in tables {
        places.push(at);
        at += table.len() as u32;
    }
    places.extend(more);
    let wide: Vec<u8> = places.iter().flat_map(|place| u64::from(*place).to_le_bytes()).collect();
    let narrow: Vec<u8> = places.iter().flat_map(|place| place.to_le_bytes()).collect();
    let mut rsdp =
        [&b"RSD PTR "[..], &[0], b"TESTER", &[2], &(rsdt as u32).to_le_bytes(), &36u32.to_le_bytes()]
            .concat();
    rsdp.extend((xsdt as u64).to_le_bytes());
    rsdp.extend([0; 4]);
    sum(&mut rsdp[..20], 8);
    sum(&mut rsdp, 32);
    rsdp.resize(64, 0);
    Memory([rsdp, table(b"XSDT", &wide), table(b"RSDT", &narrow), tables.concat()].concat())
}

fn discover(memory: &Memory) -> MachineInfo<'_> {
    MachineInfo::discover(&memory, Some(HostPhysical(START as u64))).expect("there are tables")
}

fn local_apic(id: u8, flags: u32) -> Vec<u8> {
    [&[0, 8, id, id][..], &flags.to_le_bytes()].concat()
}

fn local_x2apic(id: u32, flags: u32) -> Vec<u8> {
    [&[9, 16, 0, 0][..], &id.to_le_bytes(), &flags.to_le_bytes(), &0u32.to_le_bytes()].concat()
}

fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(b"APIC", &[&[0, 0, 0xe0, 0xfe, 1, 0, 0, 0][..], &entries.concat()].concat())
}

/// A FADT with these bytes at these offsets.
fn fadt(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; length - 36];
    for (at, bytes) in fields {
        body[at - 36..at - 36 + bytes.len()].copy_from_slice(bytes);
    }
    table(b"FACP", &body)
}

fn register(space: u8, address: u64) -> Vec<u8> {
    [&[space, 32, 0, 0][..], &address.to_le_bytes()].concat()
}

#[test]
fn processors_that_are_named_twice_are_listed_once() {
    let entries = [
        vec![local_apic(0, 1), local_apic(2, 1), local_apic(4, 1)],
        vec![local_x2apic(0, 1), local_x2apic(2, 1), local_x2apic(4, 1), local_x2apic(0x100, 1)],
    ];
    let memory = memory(&[madt(&entries.concat())]);
    let machine = discover(&memory);
    assert_eq!(machine.madt.processors, [0, 2, 4, 0x100]);
    assert!(machine.faults.contains(&TableFault::OddProcessors(3)));
}

#[test]
fn ids_that_mean_every_processor_are_skipped() {
    let entries = [local_apic(0xff, 1), local_apic(1, 1), local_x2apic(u32::MAX, 1), local_x2apic(0xff, 1)];
    let memory = memory(&[madt(&entries)]);
    // 255 is an id like any other in x2APIC mode.
    assert_eq!(discover(&memory).madt.processors, [1, 0xff]);
}

#[test]
fn processors_that_are_off_are_not_listed() {
    let entries =
        [local_apic(0, 1), local_apic(1, 0), local_apic(2, 2), local_x2apic(300, 2), local_apic(3, 3)];
    let memory = memory(&[madt(&entries)]);
    assert_eq!(discover(&memory).madt.processors, [0, 3]);
}

#[test]
fn more_processors_than_there_is_room_for_are_counted() {
    let entries: Vec<_> = (0..300).map(|id| local_x2apic(id, 1)).collect();
    let memory = memory(&[madt(&entries)]);
    let machine = discover(&memory);
    assert_eq!(machine.madt.processors.len(), 256);
    assert!(machine.faults.contains(&TableFault::TooManyProcessors(44)));
}

#[test]
fn an_entry_of_length_0_or_beyond_the_table_ends_the_list() {
    for length in [0, 1, 200] {
        let memory =
            memory(&[madt(&[local_apic(1, 1), vec![0, length, 2, 2, 1, 0, 0, 0], local_apic(3, 1)])]);
        let machine = discover(&memory);
        assert_eq!(machine.madt.processors, [1]);
        assert!(machine.faults.contains(&TableFault::Truncated(Signature(*b"APIC"))));
    }
    // Long enough for the list, too short for its type.
    let memory = memory(&[madt(&[vec![0, 4, 2, 2], vec![9, 8, 0, 0, 7, 0, 0, 0], local_apic(3, 1)])]);
    assert_eq!(discover(&memory).madt.processors, [3]);
}

#[test]
fn interrupt_controllers_and_overrides_are_read() {
    let io_apic = [&[1, 12, 2, 0][..], &0xfec0_0000u32.to_le_bytes(), &24u32.to_le_bytes()].concat();
    let timer = [&[2, 10, 0, 0][..], &2u32.to_le_bytes(), &[0, 0]].concat();
    let level_high = [&[2, 10, 0, 9][..], &9u32.to_le_bytes(), &[0x0d, 0]].concat();
    let memory = memory(&[madt(&[io_apic.clone(), io_apic, timer, level_high])]);
    let machine = discover(&memory);
    let io_apics: Vec<_> = machine.madt.io_apics.iter().map(|apic| (apic.address.0, apic.gsi_base)).collect();
    assert_eq!(io_apics, [(0xfec0_0000, 24)]);
    assert_eq!(machine.isa_wire(0), Wire { gsi: 2, level: false, low: false });
    assert_eq!(machine.isa_wire(4), Wire { gsi: 4, level: false, low: false });
    assert_eq!(machine.interrupt_line_wire(9), Some(Wire { gsi: 9, level: true, low: false }));
    assert_eq!(machine.interrupt_line_wire(11), Some(Wire { gsi: 11, level: true, low: true }));
    assert_eq!(machine.interrupt_line_wire(255), None);
}

#[test]
fn registers_of_the_fadt_are_where_their_space_says() {
    let (pm_timer, reset) = (register(0, 0xfed8_0808), register(2, 0x0000_001f_0002_0044));
    let fields: [(usize, &[u8]); 7] = [
        (64, &[0x04, 0x06, 0, 0]),
        (68, &[0x14, 0x06, 0, 0]),
        (76, &[0x08, 0x06, 0, 0]),
        (112, &(1u32 << 10 | 1 << 8).to_le_bytes()),
        (116, &reset),
        (128, &[6]),
        (208, &pm_timer),
    ];
    let memory = memory(&[fadt(276, &fields)]);
    let fadt = discover(&memory).fadt;
    assert_eq!(fadt.pm_timer, Some(Register::Memory(HostPhysical(0xfed8_0808))));
    assert_eq!(fadt.pm1_control, [Some(Register::Port(0x604)), Some(Register::Port(0x614))]);
    let in_pci = Register::PciConfiguration { device: 0x1f, function: 2, offset: 0x44 };
    assert_eq!((fadt.reset, fadt.pm_timer_32_bits), (Some((in_pci, 6)), true));
}

#[test]
fn a_short_fadt_has_what_fits() {
    let memory = memory(&[fadt(116, &[(76, &[0x08, 0x06, 0, 0])])]);
    let fadt = discover(&memory).fadt;
    assert_eq!((fadt.pm_timer, fadt.reset), (Some(Register::Port(0x608)), None));
}

#[test]
fn a_hardware_reduced_machine_has_neither_timer_nor_pm1() {
    let sleep = register(1, 0x605);
    let fields: [(usize, &[u8]); 4] =
        [(64, &[4, 6, 0, 0]), (76, &[8, 6, 0, 0]), (112, &(1u32 << 20).to_le_bytes()), (244, &sleep)];
    let memory = memory(&[fadt(276, &fields)]);
    let fadt = discover(&memory).fadt;
    assert!(fadt.hardware_reduced);
    assert_eq!((fadt.pm_timer, fadt.pm1_control), (None, [None, None]));
    assert_eq!(fadt.sleep_control, Some(Register::Port(0x605)));
}

#[test]
fn addresses_that_their_space_does_not_have_are_no_registers() {
    let (port, device, other) =
        (register(1, 0x1_0608), register(2, 0x0000_0020_0000_0044), register(0x7f, 8));
    let fields: [(usize, &[u8]); 5] =
        [(208, &port), (112, &(1u32 << 10).to_le_bytes()), (116, &device), (172, &other), (184, &[0; 12])];
    let memory = memory(&[fadt(276, &fields)]);
    let fadt = discover(&memory).fadt;
    assert_eq!((fadt.pm_timer, fadt.reset, fadt.pm1_control), (None, None, [None, None]));
}

#[test]
fn units_of_dmar_are_listed_once_with_the_flag() {
    let drhd = |at: u64| [&[0, 0, 16, 0, 1, 0, 0, 0][..], &at.to_le_bytes()].concat();
    let reserved = [&[1, 0, 24, 0][..], &[0; 20]].concat();
    let body = |list: &[Vec<u8>]| [&[38, 0b11][..], &[0; 10], &list.concat()].concat();
    let list = [drhd(0xfed9_0000), reserved, drhd(0xfed9_1000), drhd(0xfed9_0000), drhd(0)];
    let memory = memory(&[table(b"DMAR", &body(&list))]);
    let remapping = discover(&memory).remapping;
    let units: Vec<u64> = remapping.units.iter().map(|unit| unit.at.0).collect();
    assert_eq!((units, remapping.x2apic_opt_out), (vec![0xfed9_0000, 0xfed9_1000], true));
    for length in [0u8, 3, 200] {
        let list = [drhd(0xfed9_0000), vec![0, 0, length, 0, 0, 0]];
        let memory = self::memory(&[table(b"DMAR", &body(&list))]);
        let machine = discover(&memory);
        assert_eq!(machine.remapping.units.len(), 1);
        assert!(machine.faults.contains(&TableFault::Truncated(Signature(*b"DMAR"))));
    }
}

#[test]
fn units_of_ivrs_are_listed_once_although_it_has_them_in_several_layouts() {
    let ivhd = |kind: u8, at: u64| [&[kind, 0, 24, 0, 2, 0, 0, 0][..], &at.to_le_bytes(), &[0; 8]].concat();
    let list =
        [ivhd(0x10, 0xfeb8_0000), ivhd(0x11, 0xfeb8_0000), ivhd(0x20, 0xdead_0000), ivhd(0x40, 0xfec8_0000)];
    let memory = memory(&[table(b"IVRS", &[&[0; 12][..], &list.concat()].concat())]);
    let units: Vec<u64> = discover(&memory).remapping.units.iter().map(|unit| unit.at.0).collect();
    assert_eq!(units, [0xfeb8_0000, 0xfec8_0000]);
}

#[test]
fn segments_that_cannot_be_reached_are_named() {
    let window = |segment: u16| {
        [&0xb000_0000u64.to_le_bytes()[..], &segment.to_le_bytes(), &[0, 255, 0, 0, 0, 0]].concat()
    };
    let memory = memory(&[table(b"MCFG", &[&[0; 8][..], &window(0), &window(1), &[1; 9]].concat())]);
    assert_eq!(
        discover(&memory).faults,
        [
            TableFault::Missing(Signature(*b"APIC")),
            TableFault::Missing(Signature(*b"FACP")),
            TableFault::OtherSegment(1)
        ]
    );
}

#[test]
fn the_first_intact_one_of_two_tables_counts() {
    let named = |port: u8| fadt(116, &[(76, &[port, 6, 0, 0])]);
    let mut damaged = named(0x10);
    damaged[50] ^= 0xff;
    let timer = |tables: &[Vec<u8>]| {
        let memory = memory(tables);
        let machine = discover(&memory);
        (machine.fadt.pm_timer, machine.faults.to_vec())
    };
    let double = TableFault::Double(Signature(*b"FACP"));
    let checksum = TableFault::Checksum(Signature(*b"FACP"));
    let (found, faults) = timer(&[named(8), named(0x20)]);
    assert!(found == Some(Register::Port(0x608)) && faults.contains(&double) && !faults.contains(&checksum));
    assert_eq!(timer(&[damaged.clone(), named(0x20)]).0, Some(Register::Port(0x620)));
    let (found, faults) = timer(&[damaged]);
    assert!(found == Some(Register::Port(0x610)) && faults.contains(&checksum));
}

#[test]
fn entries_that_lead_nowhere_are_skipped() {
    let memory = memory_with(&[madt(&[local_apic(0, 1)])], &[0, 0xdead_0000, START as u32, u32::MAX]);
    let machine = discover(&memory);
    assert_eq!(machine.madt.processors, [0]);
    for at in [0xdead_0000, u64::from(u32::MAX)] {
        assert!(machine.faults.contains(&TableFault::Nowhere(HostPhysical(at))));
    }
    assert!(!machine.faults.contains(&TableFault::Nowhere(HostPhysical(0))));
}

#[test]
fn a_table_whose_length_is_no_length_is_skipped() {
    for length in [0u32, 1, 35, 0x7fff_ffff, u32::MAX] {
        let mut bad = madt(&[local_apic(0, 1)]);
        bad[4..8].copy_from_slice(&length.to_le_bytes());
        let memory = memory(&[bad, fadt(116, &[])]);
        let machine = discover(&memory);
        assert!(machine.madt.processors.is_empty());
        assert!(machine.faults.contains(&TableFault::Missing(Signature(*b"APIC"))), "{:?}", machine.faults);
    }
}

#[test]
fn no_list_of_tables_takes_longer_than_that_of_a_large_machine() {
    /// Counts what is asked for: on a machine each page of it is looked up.
    struct Asked<'a>(&'a Memory, std::cell::Cell<(usize, usize)>);
    impl<'a> FirmwareMemory<'a> for Asked<'a> {
        fn bytes(&self, at: HostPhysical, length: usize) -> Option<&'a [u8]> {
            let (times, longest) = self.1.get();
            self.1.set((times + 1, longest.max(length)));
            self.0.bytes(at, length)
        }
    }
    // A length of 2 GiB, named 100,000 times.
    let mut endless = table(b"SSDT", &[]);
    endless[4..8].copy_from_slice(&0x8000_0000u32.to_le_bytes());
    let at = (START + 64 + 36 + 36 + 12 * 100_001) as u32;
    let memory = memory_with(&[endless], &vec![at; 100_000]);
    let asked = Asked(&memory, std::cell::Cell::default());
    let machine = MachineInfo::discover(&asked, Some(HostPhysical(START as u64))).expect("there are tables");
    assert!(machine.faults.contains(&TableFault::TooMany), "{:?}", machine.faults);
    assert!(machine.faults.contains(&TableFault::Nowhere(HostPhysical(at.into()))));
    let (times, longest) = asked.1.get();
    assert!(times < 300 && longest <= 4 << 20, "{times} times, {longest} bytes");
}

#[test]
fn one_long_table_named_many_times_is_not_read_many_times() {
    let long = table(b"SSDT", &vec![0; 3 << 20]);
    let at = |more: usize| (START + 64 + 36 + 36 + 12 * (1 + more)) as u32;
    let memory = memory_with(&[long], &[at(40); 40]);
    assert!(discover(&memory).faults.contains(&TableFault::TooMany));
    let memory = memory_with(&[table(b"SSDT", &vec![0; 3 << 20])], &[at(4); 4]);
    assert!(!discover(&memory).faults.contains(&TableFault::TooMany));
}

#[test]
fn an_io_apic_between_two_addresses_is_none() {
    let io_apic = |at: u32| [&[1, 12, 0, 0][..], &at.to_le_bytes(), &[0; 4]].concat();
    let memory = memory(&[madt(&[io_apic(0xfec0_0001), io_apic(0xfec0_1000)])]);
    let addresses: Vec<u64> = discover(&memory).madt.io_apics.iter().map(|apic| apic.address.0).collect();
    assert_eq!(addresses, [0xfec0_1000]);
}

#[test]
fn a_damaged_xsdt_leaves_the_rsdt() {
    let mut memory = memory(&[madt(&[local_apic(0, 1)])]);
    memory.0[64] = b'?';
    let machine = discover(&memory);
    assert_eq!(machine.madt.processors, [0]);
    assert!(machine.faults.contains(&TableFault::NoXsdt));
}

#[test]
fn without_a_root_there_are_no_tables() {
    let memory = memory(&[]);
    let discover = |at: Option<u64>| MachineInfo::discover(&&memory, at.map(HostPhysical)).map(drop);
    assert_eq!(discover(None), Err(RootError::NoRsdp));
    for at in [0, START as u64 + 8, u64::MAX] {
        assert_eq!(discover(Some(at)), Err(RootError::DamagedRsdp(HostPhysical(at))));
    }
    let mut neither = self::memory(&[]);
    neither.0[64] = b'?';
    neither.0[64 + 36] = b'?';
    let none = MachineInfo::discover(&&neither, Some(HostPhysical(START as u64))).map(drop);
    assert_eq!(none, Err(RootError::NoList));
}

proptest! {
    #[test]
    fn tables_damaged_anywhere_are_survived(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let drhd = [&[38, 0][..], &[0; 10], &[0, 0, 16, 0, 1, 0, 0, 0], &0xfed9_0000u64.to_le_bytes()].concat();
        let mcfg = [&[0; 8][..], &0xb000_0000u64.to_le_bytes(), &[0, 0, 0, 0xff, 0, 0, 0, 0]].concat();
        let tables = [
            madt(&[local_apic(0, 1), local_x2apic(9, 1)]),
            fadt(276, &[(76, &[8, 6, 0, 0])]),
            table(b"DMAR", &drhd),
            table(b"IVRS", &drhd),
            table(b"MCFG", &mcfg),
            table(b"HPET", &[0; 20]),
            table(b"SSDT", b"\x08_S5_\x12\x06\x04\x0a\x05\0\0\0"),
        ];
        let mut memory = memory(&tables);
        for (at, value) in &damage {
            let at = at.index(memory.0.len());
            memory.0[at] = *value;
        }
        let cut = cut.index(memory.0.len() * 2).min(memory.0.len());
        memory.0.truncate(cut);
        if let Ok(machine) = MachineInfo::discover(&&memory, Some(HostPhysical(START as u64))) {
            let processors = &machine.madt.processors;
            for (index, id) in processors.iter().enumerate() {
                prop_assert!(!processors[..index].contains(id), "{} twice", id);
            }
            let _ = machine::aml::PciRoutes::new(&machine, Vec::new()).wire(0, 1, 1);
        }
    }
}
