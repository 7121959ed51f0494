use super::*;

fn at(tables: &AcpiTables, address: u64) -> &[u8] {
    &tables.bytes[(address - tables.base.0) as usize..]
}

fn number(bytes: &[u8], offset: usize, length: usize) -> u64 {
    bytes[offset..offset + length].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn table_at(tables: &AcpiTables, address: u64) -> &[u8] {
    let bytes = at(tables, address);
    &bytes[..number(bytes, 4, 4) as usize]
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn listed(tables: &AcpiTables) -> Vec<&[u8]> {
    let xsdt = table_at(tables, number(at(tables, tables.rsdp.0), 24, 8));
    assert_eq!(&xsdt[..4], b"XSDT");
    (36..xsdt.len()).step_by(8).map(|entry| table_at(tables, number(xsdt, entry, 8))).collect()
}

fn find<'a>(tables: &'a AcpiTables, signature: &[u8]) -> &'a [u8] {
    listed(tables).into_iter().find(|table| &table[..4] == signature).expect("the table is listed")
}

#[test]
fn every_table_is_reachable_and_sums_to_zero() {
    for vcpus in [1, 2, MAX_VCPUS] {
        let tables = build(vcpus);
        let rsdp = at(&tables, tables.rsdp.0);
        assert_eq!((&rsdp[..8], sum(&rsdp[..20]), sum(&rsdp[..36])), (&b"RSD PTR "[..], 0, 0));
        let signatures: Vec<&[u8]> = listed(&tables).into_iter().map(|table| &table[..4]).collect();
        assert_eq!(signatures, [b"FACP", b"APIC", b"MCFG"]);
        assert!(listed(&tables).into_iter().all(|table| sum(table) == 0));
        let rsdt = table_at(&tables, number(rsdp, 16, 4));
        assert_eq!((&rsdt[..4], rsdt.len(), sum(rsdt)), (&b"RSDT"[..], 36 + 3 * 4, 0));
    }
}

#[test]
fn the_largest_machine_fits_the_firmware_area_with_room_for_smbios() {
    assert!(build(u8::MAX).bytes.len() < 0x1_0000);
    assert_eq!(build(u8::MAX), build(MAX_VCPUS));
}

#[test]
fn fadt_points_at_dsdt_and_facs_and_names_the_registers() {
    let tables = build(1);
    let fadt = find(&tables, b"FACP");
    assert_eq!((fadt.len(), fadt[8], fadt[131]), (276, 6, 5));
    let dsdt = table_at(&tables, number(fadt, 40, 4));
    assert_eq!((&dsdt[..4], sum(dsdt), number(fadt, 140, 8)), (&b"DSDT"[..], 0, number(fadt, 40, 4)));
    let facs = number(fadt, 36, 4);
    assert_eq!((&at(&tables, facs)[..4], facs % 64), (&b"FACS"[..], 0));
    assert_eq!(number(fadt, 48, 4), 0, "no SMI command: ACPI mode is permanent");
    assert_eq!((number(fadt, 56, 4), number(fadt, 64, 4), number(fadt, 76, 4)), (0x600, 0x604, 0x608));
    assert_eq!((number(fadt, 46, 2), fadt[108]), (9, 0x32));
    assert_eq!(fadt[116..129], [1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 6]);
}

#[test]
fn madt_lists_one_local_apic_per_vcpu_and_the_overrides() {
    let tables = build(3);
    let madt = find(&tables, b"APIC");
    let (mut entry, mut kinds) = (44, Vec::new());
    while entry < madt.len() {
        kinds.push(madt[entry]);
        entry += usize::from(madt[entry + 1]);
    }
    assert_eq!((entry, kinds), (madt.len(), vec![0, 0, 0, 1, 2, 2, 4]));
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Length and hash of the image, then of RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT and MCFG, as an earlier
/// encoder of Weir wrote them, by number of processors.
const TESTED_WITH_GUESTS: [(u8, [(usize, u64); 9]); 3] = [
    (
        1,
        [
            (4412, 0x78ac_f631_e292_3f86),
            (36, 0x218d_729c_da68_6833),
            (48, 0x0fae_cc97_220f_3175),
            (60, 0x5a44_59b0_06da_cf39),
            (276, 0x30b4_d09f_1531_be43),
            (64, 0x4cf4_4855_f8f1_cf84),
            (3596, 0x6ff0_7946_a71a_ef03),
            (90, 0x18ee_60df_3e36_acc1),
            (60, 0xbe10_c2ae_55d4_6601),
        ],
    ),
    (
        2,
        [
            (4412, 0x392a_a3a3_7bc4_8bbc),
            (36, 0x218d_729c_da68_6833),
            (48, 0x0fae_cc97_220f_3175),
            (60, 0x5a44_59b0_06da_cf39),
            (276, 0x30b4_d09f_1531_be43),
            (64, 0x4cf4_4855_f8f1_cf84),
            (3624, 0x159c_eda4_05d1_438f),
            (98, 0x420e_9210_c411_0b27),
            (60, 0xbe10_c2ae_55d4_6601),
        ],
    ),
    (
        32,
        [
            (5564, 0xe3e0_2bd8_d161_0aaa),
            (36, 0xd0f0_1409_f494_13ef),
            (48, 0xe52e_681c_6e10_44b7),
            (60, 0xc7b3_68c8_0bca_6c8b),
            (276, 0x30b4_d09f_1531_be43),
            (64, 0x4cf4_4855_f8f1_cf84),
            (4495, 0x13ee_be3b_711f_7cf3),
            (338, 0x7726_47d7_af44_1783),
            (60, 0xbe10_c2ae_55d4_6601),
        ],
    ),
];

#[test]
fn the_tables_are_byte_for_byte_those_that_guests_were_tested_with() {
    for (vcpus, expected) in TESTED_WITH_GUESTS {
        let tables = build(vcpus);
        let rsdp = &at(&tables, tables.rsdp.0)[..36];
        let fadt = find(&tables, b"FACP");
        let found = [
            &tables.bytes,
            rsdp,
            table_at(&tables, number(rsdp, 16, 4)),
            table_at(&tables, number(rsdp, 24, 8)),
            fadt,
            table_at(&tables, number(fadt, 36, 4)),
            table_at(&tables, number(fadt, 40, 4)),
            find(&tables, b"APIC"),
            find(&tables, b"MCFG"),
        ];
        assert_eq!(found.map(|bytes| (bytes.len(), hash(bytes))), expected, "{vcpus} processors");
    }
}
