use super::*;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;

/// The part of AML that the table uses [ACPI 6.5 20.2].
#[derive(Clone, Debug, PartialEq)]
enum Term {
    Integer(u64),
    Text(String),
    Buffer(Vec<u8>),
    Package(Vec<Term>),
    Name(String, Box<Term>),
    Scope(String, Vec<Term>),
    Device(String, Vec<Term>),
    /// Name, flags, and the code.
    Method(String, u8, Vec<u8>),
}

/// Reads AML from the front of a slice. Every length in it must be exact.
struct AmlReader<'a>(&'a [u8]);

impl<'a> AmlReader<'a> {
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn number(&mut self, length: usize) -> u64 {
        self.bytes(length).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn name(&mut self) -> String {
        let length = if self.0[0] == b'\\' { 5 } else { 4 };
        String::from_utf8(self.bytes(length).to_vec()).unwrap()
    }

    /// The contents of a term with a PkgLength, which counts its own bytes [ACPI 6.5 20.2.4].
    fn package(&mut self) -> Self {
        let before = self.0.len();
        let lead = self.byte();
        let length = match usize::from(lead >> 6) {
            0 => usize::from(lead & 0x3f),
            following => usize::from(lead & 0xf) | (self.number(following) as usize) << 4,
        };
        let own = before - self.0.len();
        Self(self.bytes(length - own))
    }

    fn terms(&mut self) -> Vec<Term> {
        let mut terms = Vec::new();
        while !self.0.is_empty() {
            terms.push(self.term());
        }
        terms
    }

    fn term(&mut self) -> Term {
        match self.byte() {
            value @ (0 | 1) => Term::Integer(value.into()),
            0x08 => Term::Name(self.name(), Box::new(self.term())),
            0x0a => Term::Integer(self.number(1)),
            0x0b => Term::Integer(self.number(2)),
            0x0c => Term::Integer(self.number(4)),
            0x0d => {
                let length = self.0.iter().position(|byte| *byte == 0).expect("the string has an end");
                let text = String::from_utf8(self.bytes(length).to_vec()).unwrap();
                assert_eq!(self.byte(), 0);
                Term::Text(text)
            }
            0x10 => {
                let mut inner = self.package();
                Term::Scope(inner.name(), inner.terms())
            }
            0x11 => {
                let mut inner = self.package();
                let size = inner.term();
                assert_eq!(size, Term::Integer(inner.0.len() as u64));
                Term::Buffer(inner.0.to_vec())
            }
            0x12 => {
                let mut inner = self.package();
                let count = usize::from(inner.byte());
                let elements = inner.terms();
                assert_eq!(elements.len(), count);
                Term::Package(elements)
            }
            0x14 => {
                let mut inner = self.package();
                Term::Method(inner.name(), inner.byte(), inner.0.to_vec())
            }
            0x5b => {
                assert_eq!(self.byte(), 0x82, "only devices have an extended opcode");
                let mut inner = self.package();
                Term::Device(inner.name(), inner.terms())
            }
            opcode => panic!("opcode {opcode:#x} is not used"),
        }
    }
}

fn terms(vcpus: u8) -> Vec<Term> {
    AmlReader(&body(vcpus)).terms()
}

/// A device's objects by name.
type Objects = BTreeMap<String, Term>;

/// The devices of the table's only scope, in order.
fn devices(vcpus: u8) -> Vec<(String, Objects)> {
    let terms = terms(vcpus);
    let [Term::Name(s5, _), Term::Name(mode, _), Term::Method(pic, ..), Term::Scope(scope, devices)] =
        terms.as_slice()
    else {
        panic!("{terms:?}")
    };
    let names = [s5, mode, pic, scope].map(String::as_str);
    assert_eq!(names, ["\\_S5_", "\\PICM", "\\_PIC", "\\_SB_"]);
    let objects = |terms: &[Term]| {
        let named = terms.iter().map(|term| match term {
            Term::Name(name, value) => (name.clone(), (**value).clone()),
            method @ Term::Method(name, ..) => (name.clone(), method.clone()),
            other => panic!("{other:?} in a device"),
        });
        named.collect()
    };
    let device = |term: &Term| match term {
        Term::Device(name, terms) => (name.clone(), objects(terms)),
        other => panic!("{other:?} in the scope"),
    };
    devices.iter().map(device).collect()
}

fn device_named(name: &str) -> Objects {
    devices(1).into_iter().find(|(known, _)| known == name).expect("the device exists").1
}

#[test]
fn the_table_lists_the_processors_then_four_other_devices() {
    // The reader checks that each length in the table is exact.
    for vcpus in 1..=32 {
        let names: Vec<String> = devices(vcpus).into_iter().map(|(name, _)| name).collect();
        let processors = (0..vcpus).map(|index| format!("CP{index:02X}"));
        let others = ["PCI0", "MBRD", "RTC0", "COM1"].map(String::from);
        assert_eq!(names, processors.chain(others).collect::<Vec<_>>(), "{vcpus}");
    }
}

#[test]
fn each_processor_device_has_the_uid_of_its_local_apic() {
    for vcpus in [1, 2, 17, 32] {
        let devices = devices(vcpus);
        let hid = Term::Text("ACPI0007".into());
        let processors: Vec<&Objects> =
            devices.iter().map(|(_, objects)| objects).filter(|objects| objects["_HID"] == hid).collect();
        assert_eq!(processors.len(), usize::from(vcpus));
        for (index, objects) in processors.into_iter().enumerate() {
            assert_eq!(objects["_UID"], Term::Integer(index as u64));
            assert_eq!(objects.len(), 2);
        }
    }
}

#[test]
fn each_pin_of_each_slot_is_routed_to_its_interrupt_at_either_controller() {
    let bridge = device_named("PCI0");
    let irqs = [5, 10, 7, 11];
    let inputs: [(&str, &dyn Fn(u64) -> u64); 2] =
        [("APRT", &|pin| 16 + pin % 8), ("PPRT", &|pin| irqs[pin as usize % 4])];
    for (table, input) in inputs {
        let Term::Package(rows) = &bridge[table] else { panic!("{:?}", bridge[table]) };
        let expected: Vec<Term> = (0..32u64)
            .flat_map(|slot| (0..4u64).map(move |pin| (slot, pin)))
            .map(|(slot, pin)| [slot << 16 | 0xffff, pin, 0, input(slot + pin)])
            .map(|row| Term::Package(row.map(Term::Integer).to_vec()))
            .collect();
        assert_eq!((rows.len(), rows), (128, &expected), "{table}");
    }
}

#[test]
fn the_routing_table_is_that_of_the_controllers_that_the_guest_has_named() {
    assert_eq!(terms(1)[1], Term::Name("\\PICM".into(), Box::new(Term::Integer(0))));
    // Store (Arg0, \PICM).
    let store = [&[0x70, 0x68][..], b"\\PICM"].concat();
    assert_eq!(terms(1)[2], Term::Method("\\_PIC".into(), 1, store));
    // If (\PICM) { Return (APRT) } Return (PPRT).
    let choice = [&[0xa0, 11][..], b"\\PICM", &[0xa4], b"APRT", &[0xa4], b"PPRT"].concat();
    assert_eq!(device_named("PCI0")["_PRT"], Term::Method("_PRT".into(), 0, choice));
}

#[test]
fn soft_off_has_its_sleep_type_for_the_first_control_block_only() {
    let types = [5, 0, 0, 0].map(Term::Integer).to_vec();
    assert_eq!(terms(1)[0], Term::Name("\\_S5_".into(), Box::new(Term::Package(types))));
}

#[test]
fn com1_has_the_ports_and_the_interrupt_of_a_pc() {
    let com1 = device_named("COM1");
    // IO (Decode16, 0x3f8, 0x3f8, 1, 8), IRQNoFlags () {4}, and the end tag.
    let crs = [0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0];
    assert_eq!(com1["_CRS"], Term::Buffer(crs.to_vec()));
    assert_eq!((&com1["_UID"], com1.len()), (&Term::Integer(0), 3));
}

#[test]
fn devices_have_their_published_identifiers() {
    // EISAID("PNP0A03") is 0x030AD041, and so on.
    for (name, hid) in
        [("PCI0", 0x030a_d041), ("MBRD", 0x020c_d041), ("RTC0", 0x000b_d041), ("COM1", 0x0105_d041)]
    {
        assert_eq!(device_named(name)["_HID"], Term::Integer(hid), "{name}");
    }
}
