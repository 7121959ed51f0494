//! The seeds that were written by hand, with names that say what they do. The others, `found-*`, were found by
//! libFuzzer.

use std::path::PathBuf;

/// A hostile NIC begins with its family, its behaviour with a seed in two bytes, and how much memory is missing.
/// The lower half of each action's byte chooses it; see `hostile_nic/target.rs`.
const HOSTILE_NIC: &[(&str, &[u8])] = &[
    // Ten frames received and polled, 13 sent and completed, a check after a second.
    (
        "e1000-both-ways",
        &[0, 0, 0, 0, 0, 0x0b, 0, 9, 100, 0, 0xe2, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 31, 4, 0, 4],
    ),
    (
        "e1000e-both-ways",
        &[1, 0, 0, 0, 0, 0x0b, 0, 9, 100, 0, 0xe2, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 31, 4, 0, 4],
    ),
    (
        "igb-both-ways",
        &[2, 0, 0, 0, 0, 0x1b, 0, 9, 100, 0, 0xe2, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 31, 4, 0, 4],
    ),
    // Nothing sent is completed: a check after two seconds resets the NIC.
    ("transmit-hang", &[0, 0, 0, 0, 0, 0, 60, 0, 0xea, 5, 12, 4, 0xd0, 7, 4, 0xd0, 7]),
    // Every register reads as ones, then the NIC is there again.
    ("removed-and-back", &[2, 0, 0, 0, 0, 9, 4, 0, 0, 4, 1, 0, 9, 0, 0, 0, 4, 0, 0x20]),
    // A whole ring of descriptors, none of which ends a frame; one that claims more than its buffer.
    ("endless-frame", &[1, 0, 0, 0, 0, 0x2b, 0, 0xff, 0, 8, 0xe2, 0x0b, 0, 0, 0xff, 0xff, 0xe2]),
    // The upper half of a count of bytes reads as ones, once a second.
    ("count-overflows", &[0, 0, 0, 0, 0, 10, 15, 0xff, 0xff, 0xff, 0xff, 4, 0, 4, 4, 0, 4, 4, 0, 4]),
    // Each way of interrupting, with causes.
    (
        "interrupt-modes",
        &[
            2, 0, 0, 0, 0, 6, 0x47, 15, 0xff, 0, 0, 0, 0, 5, 0x87, 15, 4, 0, 0, 0, 0, 5, 0x16, 7, 8, 0, 1, 0,
            0, 0,
        ],
    ),
    // Each descriptor comes back at once: without an end of its frame, damaged, too short, and good.
    ("refills-endless", &[0, 0x80, 0, 0, 0, 0xe2, 0xe2, 4, 0, 4, 0xe2]),
    ("refills-damaged", &[1, 0xa0, 0, 0, 0, 0xe2, 0xe2, 4, 0, 4, 0xe2]),
    ("refills-short", &[2, 0xc0, 1, 0, 0, 0xe2, 0xe2, 4, 0, 4, 0xe2]),
    ("refills-good", &[2, 0xe0, 1, 0, 0, 0xe2, 0xe2, 4, 0, 4, 0xe2]),
    // 13 frames, of which some were fetched; the link is lost; retired, reset, and again with frames that are held back.
    (
        "retired-without-a-link",
        &[
            1, 0, 0, 0, 0, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 3, 10, 1, 0, 0, 0, 0, 0x88, 0x88, 0x84, 10, 0xff,
            0x48, 0x84, 4, 0, 4, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 3, 15, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 10, 1,
            0, 0, 0, 0, 0x88, 0x84,
        ],
    ),
    // Frames that are held back until the NIC has counted them, and others that are not any more.
    (
        "held-back",
        &[
            2, 0, 0, 0, 0, 0x48, 0, 60, 0, 0xea, 5, 12, 0x0d, 0, 31, 10, 0x10, 0xff, 0, 0, 0, 15, 0, 0, 0, 0,
            0, 0, 0x10, 0, 0, 4, 0, 0, 0, 60, 0, 0xea, 5, 12, 4, 0, 4, 0x58, 4, 0, 4,
        ],
    ),
    // Memory and time change at every access.
    (
        "never-the-same-twice",
        &[
            0, 0x18, 1, 2, 0, 0xe2, 0, 60, 0, 0xea, 5, 63, 0xe2, 4, 0, 4, 0xf2, 1, 0, 1, 0, 2, 9, 0xe2, 4,
            0xff, 0xff,
        ],
    ),
];

/// Actions, each with the number of its port in the upper half; see `seam.rs`.
const SEAM: &[(&str, &[u8])] = &[
    // Two guests send to the wire, which loses its link and gives all back; guest 0 is reset meanwhile; the link returns.
    (
        "guest-reset-before-the-link-is-back",
        &[0x00, 5, 60, 90, 0x10, 5, 60, 200, 0x39, 0x0b, 0x0c, 10, 0, 0x3a, 0x00, 5, 9, 9, 0x36, 255],
    ),
    // A NIC takes four of those that it gave back, and gives them back again.
    ("taken-back-twice", &[0x00, 3, 20, 90, 0x37, 0x34, 4, 0x0c, 100, 0, 0x37, 0x0c, 100, 0, 0x34, 255]),
    // Frames that wait for a NIC that stays away.
    ("held-until-their-time-ends", &[0x01, 7, 99, 50, 0x39, 0x49, 0x0c, 0xff, 0xff, 0x0c, 0xff, 0xff]),
    // Of two NICs behind one port one is full, then the other one; flows move; one fails, and then the other one, with a link again.
    (
        "from-nic-to-nic-to-nic",
        &[
            0x44, 0, 0x00, 6, 40, 90, 0x10, 6, 15, 90, 0x10, 5, 15, 90, 0x54, 0, 0x44, 9, 0x46, 255, 0x4d, 5,
            0x5d, 6, 0x0c, 100, 0, 0x54, 3, 0x49, 0x0c, 100, 0, 0x4a, 0x00, 6, 9, 90, 0x44, 255, 0x59, 0x0c,
            100, 0,
        ],
    ),
];

/// What to do, settings, roles, vNICs, then events, each with how much time passes; see `team.rs`.
const TEAM: &[(&str, &[u8])] = &[
    // Two members with a link and two vNICs: one member fails, and is used again.
    (
        "failover-and-failback",
        &[
            2, 0x30, 0x30, 1, 0, 1, 0, 0, 2, 3, 5, 0, 0, 0, 0x10, 0, 0, 9, 0, 0, 9, 1, 0x4c, 0, 1, 0x14, 0,
            0, 0x4c, 0x0f, 0xff,
        ],
    ),
    // Three members with beacons, of which the second hears nobody, is heard by nobody, and then is again.
    (
        "cut-off-behind-its-switch",
        &[
            2, 0x33, 0, 0xe7, 3, 2, 1, 0, 2, 0, 0, 2, 3, 5, 0, 0, 0, 0x10, 0, 0, 0x20, 0, 0, 9, 0, 4, 7, 1,
            1, 1, 0, 0, 6, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 3,
        ],
    ),
    // Three vNICs, of which two load one member until another one has more room; the operator changes policies.
    (
        "load-moves-a-vnic",
        &[
            2, 0x30, 0, 4, 0, 1, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0x10, 0, 0, 7, 0xf3, 0, 0, 0, 0, 0, 0, 3, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf3, 0xf3, 0x4c, 14, 2, 4, 14, 3, 4,
        ],
    ),
    // The history of the second, with three bytes changed.
    (
        "history-with-other-bytes",
        &[0x62, 0x33, 0, 0xe7, 3, 2, 1, 0, 2, 0, 0, 2, 3, 5, 9, 0, 3, 0x40, 0, 1, 0x80, 2, 4],
    ),
];

/// Numbers of pieces; see `configuration.rs`.
const CONFIGURATION: &[(&str, &[u8])] = &[
    // A host, a NIC, a VM with a vNIC on that NIC.
    ("whole", &[0, 5, 1, 8, 12, 2, 9, 18, 24, 26, 27, 3, 29, 31, 35]),
    // The same with an error in each value.
    ("wrong-values", &[0, 6, 1, 10, 13, 2, 11, 20, 25, 28, 3, 30, 33, 36]),
    // A team of two NICs with beacons, one of all the others, and a vNIC on the first.
    ("teams", &[43, 44, 42, 48, 55, 57, 58, 62, 64, 67, 69, 71, 72, 73, 41, 8, 53, 39, 74, 3, 45]),
    // Contradictions: NICs twice and unknown, beacons of an aggregated link, fields out of their range.
    ("wrong-teams", &[43, 42, 48, 52, 53, 56, 59, 61, 62, 63, 65, 68, 70, 41, 8, 51, 60, 66, 39, 3, 46]),
];

/// The mode, eight bytes that every register is made of, then code.
const DECODER: &[(&str, &[u8])] = &[
    // MOV to and from memory, MOVZX, MOV of an immediate, MOVS, STOS, XCHG, OR, TEST.
    (
        "moves-64",
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 0x89, 0x08, 0x8b, 0x42, 0x04, 0x0f, 0xb6, 0x06, 0xc7, 0x00, 1, 0, 0,
            0, 0x48, 0xa5, 0xab, 0x87, 0x03, 0x09, 0x18, 0xf7, 0x00, 1, 0, 0, 0,
        ],
    ),
    ("moves-16", &[2, 1, 2, 3, 4, 5, 6, 7, 8, 0x89, 0x07, 0x66, 0x8b, 0x47, 0x04, 0xa4, 0xa1, 0, 1, 0xaa]),
];

/// Names and lengths of tables, with their bodies; see `firmware_tables.rs`.
const FIRMWARE_TABLES: &[(&str, &[u8])] = &[
    // A MADT with two processors, one of them twice; a DMAR with one unit.
    (
        "processors-and-an-iommu",
        &[
            0, 0, 20, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 1, 1, 0, 0, 0, 9, 16, 0,
            0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 14, 38, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0,
            1, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0,
        ],
    ),
    // A host bridge whose _PRT a method returns: device 3, INTA#, input 16.
    (
        "interrupts-of-a-host-bridge",
        &[
            0, 2, 0x16, 0x5b, 0x82, 0x29, 0x50, 0x43, 0x49, 0x30, 8, 0x5f, 0x48, 0x49, 0x44, 0x0c, 0x41,
            0xd0, 0x0a, 8, 0x14, 0x19, 0x5f, 0x50, 0x52, 0x54, 0, 0xa0, 0x12, 1, 0xa4, 0x12, 0x0e, 1, 0x12,
            0x0b, 4, 0x0c, 0xff, 0xff, 3, 0, 0, 0, 0x0a, 0x10, 0xa3,
        ],
    ),
];

fn named() -> impl Iterator<Item = (PathBuf, &'static [u8])> {
    [
        ("hostile-nic", HOSTILE_NIC),
        ("seam", SEAM),
        ("team", TEAM),
        ("configuration", CONFIGURATION),
        ("decoder", DECODER),
        ("firmware-tables", FIRMWARE_TABLES),
    ]
    .into_iter()
    .flat_map(|(target, seeds)| {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "seeds", target].iter().collect();
        seeds.iter().map(move |(name, bytes)| (folder.join(name), *bytes))
    })
}

#[test]
fn the_seeds_written_by_hand_are_kept() {
    for (path, bytes) in named() {
        let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(kept, bytes, "{}", path.display());
    }
}

/// `cargo test -p fuzz --test seeds -- --ignored` after a change of the lists above.
#[test]
#[ignore = "writes to the source tree"]
fn write_the_seeds() {
    for (path, bytes) in named() {
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
