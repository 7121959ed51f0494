use super::*;
use crate::{
    HostConfig, IdentityConfig, LogLevel, NicConfig, NicMatch, Restart, STANDARD_PRIORITY, STANDARD_SHARES,
    SelfTest, TeamConfig, TeamNics, UplinkLink, VmConfig, VnicConfig, VnicModel,
};
use base::MacAddress;
use nic_manager::{BeaconSettings, TeamSettings};
use proptest::prelude::*;

fn system(files: u32) -> System {
    let vm = |index: u32| VmConfig {
        name: alloc::format!("vm{index}"),
        memory_bytes: 64 << 20,
        kernel: FileId(index),
        initrd: None,
        command_line: "quiet".into(),
        cpu: Some(index as u8),
        shares: STANDARD_SHARES,
        priority: STANDARD_PRIORITY,
        restart: Restart::Never,
        autostart: false,
        identity: IdentityConfig::default(),
        vnics: Vec::new(),
    };
    System {
        host: HostConfig { log_level: LogLevel::Info, smt: false, self_test: None },
        nics: Vec::new(),
        teams: Vec::new(),
        vms: (0..files).map(vm).collect(),
    }
}

#[test]
fn a_packed_bundle_is_read_back() {
    let files = [b"first".to_vec(), Vec::new(), alloc::vec![7; 10_000]];
    let bytes = pack(&system(3), &files).unwrap();
    let bundle = Bundle::parse(&bytes).unwrap();
    assert_eq!(*bundle.system(), system(3));
    for (index, file) in files.iter().enumerate() {
        assert_eq!(bundle.file(FileId(index as u32)), file);
        assert_eq!(
            bundle.extent(FileId(index as u32)).unwrap().as_ptr() as usize % 8,
            bytes.as_ptr() as usize % 8
        );
    }
    assert_eq!(bundle.file(FileId(3)), b"");
}

#[test]
fn the_scale_is_read_without_the_rest() {
    let bytes = pack(&system(3), &[const { Vec::new() }; 3]).unwrap();
    assert_eq!(Scale::read(&bytes[..HEADER]), Scale { vms: 3, nics: 0, vnics: 0 });
    assert_eq!(Scale::read(&bytes[..HEADER - 1]), Scale::default());
    assert_eq!(Scale::read(&[0; HEADER]), Scale::default());
    // A damaged one must not make the heap larger than the machine.
    let mut damaged = bytes;
    damaged[32..38].fill(0xff);
    let largest = Scale { vms: MAX_VMS as u16, nics: MAX_NICS as u16, vnics: (MAX_VMS * MAX_VNICS) as u16 };
    assert_eq!(Scale::read(&damaged), largest);
}

/// Every field that there is, with a value of its own: a new one does not compile until it is here, and then the
/// checksum differs.
#[test]
fn a_layout_that_has_changed_has_another_version() {
    let vnic = VnicConfig {
        model: VnicModel::I82540em,
        mac: MacAddress([2, 3, 4, 5, 6, 7]),
        uplink: Some("nic0".into()),
        uplink_link: UplinkLink::Up,
        rx_fcs: true,
        always_insert_fcs: false,
        protect_eeprom: true,
    };
    let vm = VmConfig {
        name: "linux".into(),
        memory_bytes: 64 << 20,
        kernel: FileId(0),
        initrd: Some(FileId(1)),
        command_line: "quiet".into(),
        cpu: Some(3),
        shares: 2000,
        priority: 5,
        restart: Restart::OnCrash,
        autostart: true,
        identity: IdentityConfig { uuid: [9; 16], serial: "s".into(), asset_tag: "t".into() },
        vnics: alloc::vec![vnic],
    };
    let address = NicMatch::Address { bus: 1, device: 2, function: 3 };
    let ids = NicMatch::Ids { vendor: 0x8086, device: 0x100e };
    let nic = |matches| NicConfig { name: "nic0".into(), matches };
    let gateway = Some(core::net::Ipv4Addr::new(10, 0, 5, 1).into());
    let mut beacon = BeaconSettings { gateway, ..BeaconSettings::STANDARD };
    beacon.vlans.extend([7, 8]);
    let team = |name: &str, nics| TeamConfig {
        name: name.into(),
        nics,
        standby: alloc::vec!["nic4".into()],
        unused: alloc::vec!["nic5".into()],
        settings: TeamSettings { beacon: Some(beacon.clone()), ..TeamSettings::STANDARD },
    };
    let system = System {
        host: HostConfig { log_level: LogLevel::Warn, smt: true, self_test: Some(SelfTest::Exception) },
        nics: [NicMatch::Any, address, ids].map(nic).into(),
        teams: alloc::vec![
            team("some", TeamNics::Named(alloc::vec!["nic0".into()])),
            team("all", TeamNics::All)
        ],
        vms: alloc::vec![vm],
    };
    let bytes = pack(&system, &[b"kernel".to_vec(), b"initrd".to_vec()]).unwrap();
    let sum = checksum(&bytes);
    assert_eq!(
        (VERSION, sum),
        (6, 0xf790_d7af_4dd0_20b0),
        "the layout has changed: raise VERSION, then write {sum:#018x} here"
    );
}

#[test]
fn another_version_is_refused_by_name() {
    let mut bytes = pack(&system(1), &[b"image".to_vec()]).unwrap();
    bytes[8] += 1;
    assert_eq!(Bundle::parse(&bytes).err(), Some(BundleError::Version(VERSION + 1)));
}

#[test]
fn any_changed_bit_is_detected() {
    let bytes = pack(&system(1), &[b"image".to_vec()]).unwrap();
    for at in (0..bytes.len()).filter(|at| !(38..HEADER).contains(at)).step_by(7).chain(32..38) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Bundle::parse(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn a_truncated_bundle_reports_both_lengths() {
    let bytes = pack(&system(1), &[b"image".to_vec()]).unwrap();
    let want = bytes.len() as u64;
    assert_eq!(Bundle::parse(&bytes[..4000]).err(), Some(BundleError::Truncated { have: 4000, want }));
    assert_eq!(Bundle::parse(b"").err(), Some(BundleError::NoMagic));
}

#[test]
fn a_manifest_that_names_a_missing_file_is_refused() {
    let bytes = pack(&system(2), &[b"image".to_vec()]).unwrap();
    assert_eq!(Bundle::parse(&bytes).err(), Some(BundleError::Manifest));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Bundle::parse(&bytes);
    }
}
