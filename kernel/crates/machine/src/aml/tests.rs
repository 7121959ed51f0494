use super::*;
use crate::MachineInfo;
use crate::info::Wire;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

/// AML, as bytes.
type Code = Vec<u8>;

fn routes_with(aml: &[u8], bridges: &[PciBridge]) -> PciRoutes {
    let mut machine = MachineInfo::default();
    machine.aml.push(aml).expect("there is room for one");
    PciRoutes::new(&machine, bridges.to_vec())
}

fn routes(aml: &[u8]) -> PciRoutes {
    routes_with(aml, &[])
}

/// A PCI interrupt as the bus has it.
fn wired(gsi: u32) -> Option<Wire> {
    Some(Wire { gsi, level: true, low: true })
}

/// What a package length covers, with the length in two bytes before it.
fn sized(opcode: &[u8], inside: &[Code]) -> Code {
    let inside = inside.concat();
    let length = inside.len() + 2;
    [opcode, &[0x40 | (length & 0xf) as u8, (length >> 4) as u8], &inside].concat()
}

fn op(opcode: u8, operands: &[Code]) -> Code {
    [vec![opcode], operands.concat()].concat()
}

fn byte(value: u8) -> Code {
    vec![0x0a, value]
}

fn dword(value: u32) -> Code {
    [&[0x0c][..], &value.to_le_bytes()].concat()
}

fn text(value: &str) -> Code {
    value.as_bytes().to_vec()
}

const ZERO: u8 = 0;

fn zero() -> Code {
    vec![ZERO]
}

fn local(number: u8) -> Code {
    vec![0x60 + number]
}

fn package(elements: &[Code]) -> Code {
    let count = vec![elements.len() as u8];
    sized(&[0x12], &[vec![count], elements.to_vec()].concat())
}

fn named(name: &str, value: &Code) -> Code {
    [&[0x08][..], name.as_bytes(), value].concat()
}

fn scope(name: &str, inside: &[Code]) -> Code {
    sized(&[0x10], &[vec![text(name)], inside.to_vec()].concat())
}

fn device(name: &str, inside: &[Code]) -> Code {
    sized(&[0x5b, 0x82], &[vec![text(name)], inside.to_vec()].concat())
}

fn method(name: &str, arguments: u8, inside: &[Code]) -> Code {
    sized(&[0x14], &[vec![text(name), vec![arguments]], inside.to_vec()].concat())
}

fn condition(opcode: u8, holds: &Code, inside: &[Code]) -> Code {
    sized(&[opcode], &[vec![holds.clone()], inside.to_vec()].concat())
}

const IF: u8 = 0xa0;
const WHILE: u8 = 0xa2;

fn result(value: &Code) -> Code {
    [&[0xa4], &value[..]].concat()
}

fn store(value: &Code, target: &Code) -> Code {
    op(0x70, &[value.clone(), target.clone()])
}

/// The entry of a `_PRT` for any function of a device.
fn entry(device: u32, pin: u8, source: &Code, index: u8) -> Code {
    package(&[dword(device << 16 | 0xffff), byte(pin), source.clone(), byte(index)])
}

fn host_bridge(inside: &[Code]) -> Code {
    // EISAID ("PNP0A08")
    let hid = named("_HID", &dword(0x080a_d041));
    scope("\\_SB_", &[device("PCI0", &[vec![hid], inside.to_vec()].concat())])
}

#[test]
fn a_table_of_inputs_is_read() {
    let table = package(&[entry(3, 0, &zero(), 19), entry(3, 1, &zero(), 20)]);
    let routes = routes(&host_bridge(&[named("_PRT", &table)]));
    assert_eq!((routes.count(), routes.wire(0, 3, 1), routes.wire(0, 3, 2)), (2, wired(19), wired(20)));
    assert_eq!((routes.wire(0, 3, 3), routes.wire(0, 4, 1), routes.wire(1, 3, 1)), (None, None, None));
    assert_eq!((routes.wire(0, 3, 0), routes.wire(0, 3, 5)), (None, None));
}

/// As most firmware has it: one table for the 8259s, another for the IO-APICs, and a method that chooses by what `_PIC`
/// has stored.
fn chooses_by_pic(table: &Code) -> Code {
    let picm = named("PICM", &zero());
    let pic = method("_PIC", 1, &[store(&vec![0x68], &text("PICM"))]);
    let choice = [condition(IF, &text("PICM"), &[result(&text("AR00"))]), result(&text("PR00"))];
    let tables = [named("PR00", &package(&[])), named("AR00", table), method("_PRT", 0, &choice)];
    [picm, pic, host_bridge(&tables)].concat()
}

#[test]
fn a_method_that_asks_for_the_interrupt_mode_is_evaluated() {
    let aml = chooses_by_pic(&package(&[entry(2, 0, &zero(), 16)]));
    assert_eq!(routes(&aml).wire(0, 2, 1), wired(16));
}

/// A link device with these resources, and a host bridge whose device 4 uses it.
fn through_a_link(resources: &[u8], pin: u8) -> Code {
    let buffer = sized(&[0x11], &[byte(resources.len() as u8), resources.to_vec()]);
    let link = scope("\\_SB_", &[device("LNKA", &[named("_CRS", &buffer)])]);
    let table = package(&[entry(4, pin, &text("LNKA"), 0)]);
    [link, host_bridge(&[named("_PRT", &table)])].concat()
}

#[test]
fn a_link_device_names_its_input() {
    // Extended interrupt descriptor: consumer, level, active high, shared; one interrupt, 21; the end.
    let resources = [0x89, 6, 0, 0b1001, 1, 21, 0, 0, 0, 0x79, 0];
    let routes = routes(&through_a_link(&resources, 2));
    assert_eq!(routes.wire(0, 4, 3), Some(Wire { gsi: 21, level: true, low: false }));
}

#[test]
fn a_link_device_on_an_isa_interrupt_is_wired_as_madt_says() {
    // IRQ descriptor: interrupt 11; the end.
    let aml = through_a_link(&[0x22, 0x00, 0x08, 0x79, 0x00], 0);
    let mut machine = MachineInfo::default();
    machine.aml.push(&aml).expect("there is room for one");
    let level_high = crate::SourceOverride { isa: 11, gsi: 11, flags: 0b1101 };
    machine.madt.overrides.push(level_high).expect("there is room for one");
    let routes = PciRoutes::new(&machine, Vec::new());
    assert_eq!(routes.wire(0, 4, 1), Some(Wire { gsi: 11, level: true, low: false }));
}

#[test]
fn a_link_device_without_an_interrupt_has_no_answer() {
    for resources in
        [&[0x79, 0][..], &[0x22, 0, 0, 0x79, 0], &[0x89, 6, 0, 9, 0, 0, 0, 0, 0, 0x79, 0], &[0x89], &[]]
    {
        assert_eq!(routes(&through_a_link(resources, 0)).wire(0, 4, 1), None);
    }
}

#[test]
fn a_table_in_a_local_variable_of_a_method_with_an_argument_is_evaluated() {
    let table = package(&[entry(4, 1, &zero(), 18)]);
    let choice = condition(IF, &op(0x93, &[vec![0x68], byte(7)]), &[store(&table, &local(0))]);
    let chosen = method("TABL", 1, &[choice, result(&local(0))]);
    let seven = op(0x72, &[byte(3), byte(4), local(1)]);
    let prt = method("_PRT", 0, &[seven, result(&[text("TABL"), local(1)].concat())]);
    assert_eq!(routes(&host_bridge(&[chosen, prt])).wire(0, 4, 2), wired(18));
}

#[test]
fn buses_behind_bridges_have_tables_of_their_own_or_rotate_the_pins() {
    let behind = named("_PRT", &package(&[entry(0, 0, &zero(), 40)]));
    let port = device("RP01", &[named("_ADR", &dword(0x001c_0000)), behind]);
    let outer = named("_PRT", &package(&[entry(0x1e, 2, &zero(), 22)]));
    let bridges = [
        PciBridge { bus: 0, device: 0x1c, function: 0, secondary: 5 },
        PciBridge { bus: 0, device: 0x1e, function: 0, secondary: 6 },
        // In a circle.
        PciBridge { bus: 9, device: 1, function: 0, secondary: 9 },
    ];
    let routes = routes_with(&host_bridge(&[outer, port]), &bridges);
    assert_eq!(routes.wire(5, 0, 1), wired(40));
    // Device 1, INTB# comes out as INTC# of the bridge.
    assert_eq!((routes.wire(6, 1, 2), routes.wire(6, 1, 1), routes.wire(9, 0, 1)), (wired(22), None, None));
}

#[test]
fn a_device_that_is_looked_for_among_bridges_costs_what_is_compared() {
    let bridges = [PciBridge { bus: 9, device: 1, function: 0, secondary: 10 }; 250];
    let devices: Vec<Code> =
        (0..200).map(|n| device(&alloc::format!("D{n:03}"), &[named("_ADR", &byte(n))])).collect();
    let aml = [host_bridge(&[]), scope("\\_SB_", &[scope("PCI0", &devices)])].concat();
    let (few, many) = (routes(&aml).steps(), routes_with(&aml, &bridges).steps());
    assert!(many - few >= 200 * 250 / 2, "{many} steps, {few} without bridges");
}

#[test]
fn a_second_host_bridge_has_its_own_bus() {
    let bridge = |name: &str, bus, gsi| {
        let hid = named("_HID", &[&[0x0d][..], b"PNP0A03\0"].concat());
        let table = named("_PRT", &package(&[entry(1, 0, &zero(), gsi)]));
        scope("\\_SB_", &[device(name, &[hid, named("_BBN", &byte(bus)), table])])
    };
    let routes = routes(&[bridge("PCI0", 0, 16), bridge("PC40", 0x40, 48)].concat());
    assert_eq!((routes.wire(0, 1, 1), routes.wire(0x40, 1, 1)), (wired(16), wired(48)));
}

#[test]
fn what_depends_on_a_register_has_no_answer_and_is_not_taken_for_another_bus() {
    // A field of a region, which a condition reads.
    let region = [&[0x5b, 0x80][..], b"REGN\x02", &byte(0x60), &byte(4)].concat();
    let field = sized(&[0x5b, 0x81], &[text("REGN"), vec![1], text("PRQA"), vec![8]]);
    let choice = condition(IF, &op(0x93, &[text("PRQA"), byte(1)]), &[result(&package(&[]))]);
    let routes = routes(&host_bridge(&[region, field, method("_PRT", 0, &[choice, result(&zero())])]));
    assert_eq!((routes.count(), routes.wire(0, 1, 1)), (0, None));
}

#[test]
fn programs_without_end_are_given_up() {
    let endless = condition(WHILE, &vec![1], &[store(&vec![1], &local(0))]);
    let recursive = result(&text("_PRT"));
    let nested = result(&[vec![0x92; 5000], vec![1]].concat());
    for body in [endless, recursive, nested] {
        assert_eq!(routes(&host_bridge(&[method("_PRT", 0, &[body])])).count(), 0);
    }
    // Blocks within blocks, deeper than any firmware.
    let blocks = (0..200).fold(Code::new(), |inside, _| scope("AAAA", &[inside]));
    assert_eq!(routes(&blocks).count(), 0);
}

#[test]
fn sleep_types_are_found_in_each_encoding() {
    let types = |a, b| Some(SleepTypes { a, b });
    let both = [&b"\x08_S5_"[..], &[0x12, 0x08, 0x04, 0x0a, 0x05, 0x0a, 0x07, 0, 0]].concat();
    assert_eq!(sleep_types(&both), types(5, 7));
    let zero = [&b"\x08\\_S5_"[..], &[0x12, 0x06, 0x04, 0, 0, 0, 0]].concat();
    assert_eq!(sleep_types(&zero), types(0, 0));
    let long = [&b"\x08_S5_"[..], &[0x12, 0x46, 0x00, 0x02, 0x0a, 0x07, 0]].concat();
    assert_eq!(sleep_types(&long), types(7, 0));
    // The same bytes within a string come first.
    let string = [&b"\x08TEXT\x0d_S5_\x12\x04\x01\x01\0"[..], &both].concat();
    assert_eq!(sleep_types(&string), types(5, 7));
}

#[test]
fn truncated_aml_has_no_sleep_types() {
    for bytes in [&b""[..], b"_S5_", b"\x08_S5_", b"\x08_S5_\x12\xff", b"\x08_S5_\x12\x03\x04\x0a"] {
        assert_eq!(sleep_types(bytes), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(code in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (routes(&code).count(), sleep_types(&code));
    }

    #[test]
    fn a_program_damaged_anywhere_is_survived(
        at in any::<prop::sample::Index>(),
        new in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut aml = chooses_by_pic(&package(&[entry(2, 0, &zero(), 16)]));
        let (at, cut) = (at.index(aml.len()), cut.index(aml.len()));
        aml[at] = new;
        let _ = (routes(&aml).count(), routes(&aml[..cut]).count());
    }
}
