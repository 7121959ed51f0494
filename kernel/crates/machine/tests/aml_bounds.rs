//! What AML may cost: the kernel's heap has room for its list of names and little more, its stack has 512 KiB, and boot
//! waits. The allocator counts what a thread holds, since the host's own memory has no end that a test would meet.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

mod support;

use base::HostPhysical;
use machine::MachineInfo;
use machine::aml::{AmlLimit, PciRoutes};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{Memory, START};

struct Counting;

thread_local! {
    /// Bytes that this thread holds, and the most that it held.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: all memory comes from the system's allocator and goes back to it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (held, most) = HELD.get();
        let held = held + layout.size();
        HELD.set((held, most.max(held)));
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let (held, most) = HELD.get();
        HELD.set((held.saturating_sub(layout.size()), most));
        // SAFETY: `at` came from `alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The kernel's heap has 1.5 MiB besides what guests and NICs take.
const HEAP: usize = 1536 << 10;
/// Its stack has 512 KiB; a thread that runs in half of that, without the compiler's optimizations, leaves it room.
const STACK: usize = 256 << 10;
/// The bound behind [`AmlLimit::Steps`].
const STEPS: u32 = 20_000_000;

/// AML, as bytes.
type Code = Vec<u8>;

fn table(name: &[u8; 4], body: &[u8]) -> Code {
    [&name[..], &(36 + body.len() as u32).to_le_bytes(), &[0; 28], body].concat()
}

/// An RSDP, an RSDT and an SSDT with this AML.
fn memory(aml: &[u8]) -> Memory {
    let rsdt = START as u32 + 20;
    let mut rsdp = [&b"RSD PTR "[..], &[0], b"TESTER", &[0], &rsdt.to_le_bytes()].concat();
    rsdp[8] = rsdp.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    Memory([rsdp, table(b"RSDT", &(rsdt + 40).to_le_bytes()), table(b"SSDT", aml)].concat())
}

/// What came of a table.
#[derive(Debug)]
struct Found {
    routes: PciRoutes,
    /// Most bytes that were held meanwhile.
    bytes: usize,
}

/// Evaluates a table on a stack of the kernel's kind.
fn found(aml: &[u8]) -> Found {
    let memory = memory(aml);
    std::thread::scope(|scope| {
        let evaluate = || {
            let machine = MachineInfo::discover(&&memory, Some(HostPhysical(START as u64)));
            let machine = machine.expect("there are tables");
            let (before, _) = HELD.get();
            HELD.set((before, before));
            let routes = PciRoutes::new(&machine, Vec::new());
            Found { routes, bytes: HELD.get().1 - before }
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, evaluate);
        thread.expect("a thread starts").join().expect("it does not panic")
    })
}

/// Asserts that a table costs what the kernel has, and leads nowhere.
fn assert_harmless(aml: &[u8], limit: Option<AmlLimit>) {
    let Found { routes, bytes } = found(aml);
    assert!(bytes <= HEAP * 2 / 3, "{bytes} bytes of the heap");
    assert!(routes.steps() <= STEPS, "{} steps", routes.steps());
    assert_eq!(routes.limit(), limit, "after {} steps", routes.steps());
    for device in 0..32 {
        assert_eq!(routes.wire(0, device, 1), None);
    }
}

/// What a package length covers, with the length in four bytes before it.
fn sized(opcode: &[u8], inside: &[u8]) -> Code {
    let length = inside.len() + 4;
    let [a, b, c, _] = ((length >> 4) as u32).to_le_bytes();
    [opcode, &[0xc0 | (length & 0xf) as u8, a, b, c], inside].concat()
}

fn named(name: &str, value: &[u8]) -> Code {
    [&[0x08], name.as_bytes(), value].concat()
}

fn package(count: u8, elements: &[u8]) -> Code {
    sized(&[0x12], &[&[count], elements].concat())
}

fn scope(name: &str, inside: &[u8]) -> Code {
    sized(&[0x10], &[name.as_bytes(), inside].concat())
}

fn device(name: &str, inside: &[u8]) -> Code {
    sized(&[0x5b, 0x82], &[name.as_bytes(), inside].concat())
}

fn method(name: &str, inside: &[u8]) -> Code {
    sized(&[0x14], &[name.as_bytes(), &[0], inside].concat())
}

/// The id of a host bridge, and one of nothing that matters.
const PNP0A08: [u8; 5] = [0x0c, 0x41, 0xd0, 0x0a, 0x08];
const PNP0C02: [u8; 5] = [0x0c, 0x41, 0xd0, 0x0c, 0x02];

/// A host bridge with a method that tells its routes.
fn host_bridge(prt: &[u8]) -> Code {
    scope("\\_SB_", &device("PCI0", &[named("_HID", &PNP0A08), method("_PRT", prt)].concat()))
}

/// A name of four characters.
fn numbered(letter: char, number: usize) -> String {
    format!("{letter}{number:03X}")
}

/// 770 bytes that stand for 1.5 MB of empty values.
fn package_of_packages() -> Code {
    // PackageOp, a length of two bytes, 255 elements of which none is written.
    package(255, &[0x12, 0x02, 0xff].repeat(255))
}

#[test]
fn packages_of_packages_take_no_memory_wherever_they_stand() {
    let large = package_of_packages();
    for name in ["_HID", "_CID", "_BBN", "_SEG", "_PRT", "_ADR"] {
        let hid = if name == "_HID" { Code::new() } else { named("_HID", &PNP0A08) };
        assert_harmless(&device("BIG0", &[hid, named(name, &large)].concat()), None);
    }
    // As what a method returns, and what it has stored.
    assert_harmless(&host_bridge(&[&[0xa4], &large[..]].concat()), None);
    let stored: Code = (0..8).flat_map(|local| [&[0x70], &large[..], &[0x60 + local]].concat()).collect();
    assert_harmless(&host_bridge(&[&stored[..], &[0xa4, 0x60]].concat()), None);
}

#[test]
fn packages_in_packages_do_not_nest_by_being_stored() {
    // Store (Package (1) {Local0}, Local0), which is no element of a package [ACPI 6.5 20.2.5.4].
    let nest = [0x70, 0x12, 0x03, 0x01, 0x60, 0x60].repeat(20_000);
    assert_harmless(&host_bridge(&[&nest[..], &[0xa4, 0x60]].concat()), None);
    // The same with a name, which is one.
    let nest = [&[0x70, 0x12, 0x06, 0x01][..], b"KEEP", b"KEEP"].concat().repeat(20_000);
    let aml = [named("KEEP", &[0]), host_bridge(&[&nest[..], b"\xa4KEEP"].concat())].concat();
    assert_harmless(&aml, None);
    // And as they are written, one in another.
    let deep = (0..20_000).fold(vec![0], |inside: Code, _| package(1, &inside[..inside.len().min(40_000)]));
    assert_harmless(&device("DEEP", &[named("_HID", &PNP0A08), named("_PRT", &deep)].concat()), None);
}

#[test]
fn many_names_beside_each_other_end_by_the_bound_of_steps() {
    // Each is looked for among all that are there.
    let names = |letter| -> Code { (0..0x1000).flat_map(|n| named(&numbered(letter, n), &[0])).collect() };
    let flat: Code = ('A'..='J').flat_map(names).collect();
    let prt = host_bridge(&[&[0xa4], &package_of_packages()[..]].concat());
    assert_harmless(&[&flat[..], &prt].concat(), Some(AmlLimit::Steps));
    assert_harmless(&[prt, flat].concat(), Some(AmlLimit::Steps));
}

/// The methods C000 to C006, each of which calls the one before it eight times.
fn slow_methods() -> Code {
    let calls = |of: usize| [&[0x70], numbered('C', of).as_bytes(), &[0x60]].concat().repeat(8);
    let chain: Code = (1..7).flat_map(|n| method(&numbered('C', n), &calls(n - 1))).collect();
    [method("C000", &[0xa4, 0x01]), chain].concat()
}

#[test]
fn many_devices_whose_values_take_long_end_by_the_bound_of_steps() {
    let host = |number| {
        let values = ["_SEG", "_BBN", "_PRT"].map(|name| method(name, b"\xa4C006"));
        device(&numbered('P', number), &[named("_HID", &PNP0A08), values.concat()].concat())
    };
    let hosts: Code = (0..4000).flat_map(host).collect();
    assert_harmless(&[slow_methods(), hosts].concat(), Some(AmlLimit::Steps));
}

/// A host bridge of this name and bus, whose device 3 has INTA# on GSI 19.
fn intact(name: &str, bus: u8) -> Code {
    let entry = package(4, &[&[0x0c, 0xff, 0xff, 3, 0][..], &[0, 0], &[0x0a, 19]].concat());
    let values = [named("_HID", &PNP0A08), named("_BBN", &[0x0a, bus]), named("_PRT", &package(1, &entry))];
    device(name, &values.concat())
}

#[test]
fn a_value_that_takes_long_leaves_the_others_their_steps() {
    let aml = [slow_methods(), host_bridge(b"\xa4C006"), intact("PCI1", 64)].concat();
    let Found { routes, .. } = found(&aml);
    assert_eq!(routes.limit(), Some(AmlLimit::ValueSteps));
    assert_eq!((routes.wire(0, 3, 1), routes.wire(64, 3, 1).map(|wire| wire.gsi)), (None, Some(19)));
}

#[test]
fn a_long_text_costs_what_it_is_long_and_a_name_with_too_many_parents_is_none() {
    // A text of 3 MB as a condition, in a method that many values ask.
    let text = [&[0x0d][..], &vec![b'x'; 3 << 20], &[0]].concat();
    let up = [&[0xa4][..], &vec![b'^'; 500_000], b"NONE"].concat();
    let text = [&[0xa4], &text[..]].concat();
    let steps = 3 << 17;
    for (asked, cost) in [(text, steps..u32::MAX), (up, 0..1000)] {
        let host = |number| {
            device(&numbered('P', number), &[named("_HID", &PNP0A08), method("_PRT", b"\xa4ASKD")].concat())
        };
        let hosts: Code = (0..3).flat_map(host).collect();
        let Found { routes, .. } = found(&[method("ASKD", &asked), hosts].concat());
        assert!(cost.contains(&routes.steps()), "{} steps", routes.steps());
    }
}

#[test]
fn blocks_and_calls_that_nest_too_deep_are_named() {
    let blocks = (0..200).fold(Code::new(), |inside, _| scope("AAAA", &inside));
    assert_harmless(&blocks, Some(AmlLimit::Blocks));
    let operands = [named("LONG", &[&[0x92; 5000][..], &[1]].concat()), host_bridge(&[0xa4, 0])].concat();
    assert_harmless(&operands, Some(AmlLimit::Blocks));
    assert_harmless(&host_bridge(b"\xa4_PRT"), Some(AmlLimit::Calls));
    assert_harmless(&[named("SELF", b"SELF"), host_bridge(b"\xa4SELF")].concat(), Some(AmlLimit::Calls));
}

#[test]
fn more_names_than_are_kept_are_named_and_what_came_before_is_used() {
    // In groups, as the names of a machine are.
    let group = |number| {
        let names: Code = (0..64).flat_map(|name| named(&numbered('N', name), &[0])).collect();
        device(&numbered('G', number), &names)
    };
    let groups: Code = (0..400).flat_map(group).collect();
    let Found { routes, bytes } = found(&[intact("PCI0", 0), groups].concat());
    assert_eq!(routes.limit(), Some(AmlLimit::Names));
    assert_eq!(routes.wire(0, 3, 1).map(|wire| wire.gsi), Some(19));
    assert!(bytes <= HEAP * 2 / 3, "{bytes} bytes of the heap");
}

/// A server of 16 root buses, each with a table of all pins of 32 devices, through link devices and without, and 1,024
/// processors beside each other: some 10,000 names.
fn large_server() -> Code {
    let link = |number| {
        let resources = [0x11, 0x0e, 0x0a, 11, 0x89, 6, 0, 9, 1, number as u8, 0, 0, 0, 0x79, 0];
        let values = [named("_HID", &PNP0C02), named("_UID", &[0x0a, number as u8]), named("_STA", &[1])];
        device(
            &numbered('L', number),
            &[&values.concat()[..], &method("_CRS", b"\xa4RES_"), &named("RES_", &resources)].concat(),
        )
    };
    let entries = |source: &dyn Fn(usize) -> Code| -> Code {
        let entry = |n: usize| {
            let address = ((n as u32 / 4) << 16 | 0xffff).to_le_bytes();
            package(4, &[&[0x0c], &address[..], &[0x0a, (n % 4) as u8], &source(n)].concat())
        };
        package(128, &(0..128).flat_map(entry).collect::<Code>())
    };
    let slot = |number| {
        let methods: Code = ["_EJ0", "_DSM", "_PRW", "_S0W", "_PS0", "_PS3"]
            .iter()
            .flat_map(|name| method(name, &[0xa4, 0]))
            .collect();
        let address = [&[0x0c, 0, 0][..], &(number as u16).to_le_bytes()].concat();
        device(&numbered('S', number), &[named("_ADR", &address), named("_SUN", &[1]), methods].concat())
    };
    let root = |number: usize| {
        let own = [
            [named("_HID", &PNP0A08), named("_BBN", &[0x0a, (number * 16) as u8])].concat(),
            named("PR00", &entries(&|n| [numbered('L', n % 16).as_bytes(), &[0]].concat())),
            named("AR00", &entries(&|n| [&[0], &[0x0a, 16 + (n % 100) as u8][..]].concat())),
            // If (PICM) {Return (AR00)} Return (PR00)
            method("_PRT", &[&sized(&[0xa0], b"PICM\xa4AR00")[..], b"\xa4PR00"].concat()),
            (0..32).flat_map(slot).collect(),
        ];
        device(&numbered('P', number), &own.concat())
    };
    let processor = |number| {
        let methods: Code =
            ["_MAT", "_STA", "_PXM"].iter().flat_map(|name| method(name, &[0xa4, 0])).collect();
        device(&numbered('C', number), &[named("_HID", &PNP0C02), named("_UID", &[1]), methods].concat())
    };
    let inside: [Code; 3] = [
        (0..16).flat_map(link).collect(),
        (0..1024).flat_map(processor).collect(),
        (0..16).flat_map(root).collect(),
    ];
    let mode: Code = (0..256).flat_map(|number| named(&numbered('V', number), &[0])).collect();
    [named("PICM", &[0]), mode, scope("\\_SB_", &inside.concat())].concat()
}

#[test]
fn a_large_server_takes_a_small_part_of_the_bounds() {
    let by_links = large_server();
    // The same in a machine whose firmware is told that IO-APICs are used.
    let told = sized(&[0x14], &[&b"_PIC\x01"[..], b"\x70\x68PICM"].concat());
    for (aml, gsi) in [(by_links.clone(), 13), ([by_links, told].concat(), 16 + 13)] {
        let Found { routes, bytes } = found(&aml);
        assert_eq!(routes.limit(), None, "{} steps", routes.steps());
        assert!(routes.steps() <= STEPS / 5, "{} steps", routes.steps());
        assert!(bytes <= HEAP * 2 / 3, "{bytes} bytes of the heap");
        for root in 0..16 {
            assert_eq!(routes.wire(root * 16, 3, 2).map(|wire| wire.gsi), Some(gsi), "root bus {root}");
        }
    }
}

#[test]
fn a_host_bridge_of_compute_express_link_is_known_by_its_compatible_ids() {
    let ids = |ids: &[[u8; 5]]| named("_CID", &package(ids.len() as u8, &ids.concat()));
    let gsi = |cid: Code| {
        // In front of the _HID that the bridge would have, so that this one counts.
        let first = scope("CXL0", &[named("_HID", b"\x0dACPI0016\0"), cid].concat());
        found(&[device("CXL0", &[]), first, intact("CXL0", 0)].concat())
            .routes
            .wire(0, 3, 1)
            .map(|wire| wire.gsi)
    };
    assert_eq!(gsi(ids(&[PNP0C02, PNP0A08])), Some(19));
    assert_eq!((gsi(ids(&[PNP0C02])), gsi(named("_CID", &PNP0A08))), (None, Some(19)));
}

/// A host bridge on this bus whose `_PRT` has as many entries as there can be, each of which names `LNKA`.
fn asks_a_link(name: &str, bus: u8) -> Code {
    let entry =
        |n: u8| package(4, &[&[0x0c, 0xff, 0xff, n % 32, 0, 0x0a, n / 32 % 4], &b"LNKA"[..], &[0]].concat());
    let prt = package(255, &(0..255).flat_map(entry).collect::<Code>());
    device(name, &[named("_HID", &PNP0A08), named("_BBN", &[0x0a, bus]), named("_PRT", &prt)].concat())
}

/// Host bridges that ask the link device `LNKA` for these resources.
fn asked_for(resources: &[u8]) -> Code {
    let link = [named("_HID", &[0x0c, 0x41, 0xd0, 0x0c, 0x0f]), named("_CRS", resources)].concat();
    scope("\\_SB_", &[asks_a_link("PCI0", 0), device("LNKA", &link)].concat())
}

#[test]
fn a_value_without_an_end_costs_what_is_looked_at_each_time_that_it_is_named() {
    let text = [&[0x0d], &vec![b'A'; 1 << 20][..]].concat();
    assert_harmless(&asked_for(&text), Some(AmlLimit::Steps));
}

#[test]
fn resources_that_are_stored_once_cost_what_is_looked_at_each_time_that_they_are_named() {
    // Descriptors of one byte, none of which is an interrupt. To find them among what has been stored costs next to nothing.
    let resources = sized(&[0x11], &[&[0x0c], &(1u32 << 20).to_le_bytes()[..], &[0; 1 << 20]].concat());
    let store = [&b"_PIC\x01\x70"[..], &resources, b"\\\x2f\x03_SB_LNKA_CRS"].concat();
    assert_harmless(&[asked_for(&[0]), sized(&[0x14], &store)].concat(), Some(AmlLimit::Steps));
}

#[test]
fn a_name_costs_its_letters_whether_it_is_looked_for_or_not() {
    // 255 segments: a call of _OSI, and no name.
    let long = |last: &[u8]| [&[0x2f, 0xff][..], &b"AAAA".repeat(254), last].concat();
    let called = host_bridge(&[&long(b"_OSI")[..], &[0]].concat().repeat(1000));
    let none = scope("\\_SB_", &long(b"AAA*")).repeat(1000);
    for aml in [called, none] {
        let Found { routes, .. } = found(&aml);
        assert!(routes.steps() as usize >= aml.len() / 8, "{} steps for {} bytes", routes.steps(), aml.len());
    }
}

#[test]
fn a_place_that_is_passed_on_the_way_to_bridges_costs_a_step() {
    let steps = |segment| {
        let passed: Code = (0..1000).flat_map(|n| named(&numbered('N', n), &[0])).collect();
        // What is defined last is found first.
        let values = [named("_PRT", &[0]), named("_SEG", &[segment]), named("_HID", &PNP0A08)].concat();
        found(&device("PCI0", &[passed, values].concat())).routes.steps()
    };
    let (followed, not) = (steps(0), steps(1));
    assert!(followed >= not + 1000, "{followed} steps, {not} in a segment that is not followed");
}
