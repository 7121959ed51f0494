//! The configuration as the kernel receives it: a bundle damaged anywhere, with its checksum corrected.

use crate::Input;
use base::MacAddress;
use config::{
    Bundle, BundleError, FileId, HostConfig, LogLevel, NicConfig, NicMatch, System, TeamConfig, TeamNics,
    VmConfig, VnicConfig, VnicModel,
};
use nic_manager::{BeaconSettings, MAX_MEMBERS, TeamSettings};

/// Offsets of length and checksum in the bundle's header.
const LENGTH: usize = 16;
const CHECKSUM: usize = 24;

/// Offsets and bytes to write there; or, if the first byte is odd, a bundle as it is.
///
/// # Panics
/// When a bundle that was accepted names a file that it does not contain, or has a team without NICs or one that shares
/// a NIC.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    if input.u8() & 1 == 1 {
        parse(input.rest());
        return;
    }
    let mut bytes = config::bundle::pack(&system(), &[b"kernel".to_vec(), b"initrd".to_vec()])
        .expect("the configuration can be written");
    while !input.is_empty() {
        let at = usize::from(input.u16()) % bytes.len().min(512);
        let length = usize::from(input.u8() % 8);
        for (byte, new) in bytes[at..].iter_mut().zip(input.bytes(length)) {
            *byte = *new;
        }
    }
    let length = bytes.len() as u64;
    bytes[LENGTH..LENGTH + 8].copy_from_slice(&length.to_le_bytes());
    if let Err(BundleError::Checksum { have, .. }) = Bundle::parse(&bytes).map(|_| ()) {
        bytes[CHECKSUM..CHECKSUM + 8].copy_from_slice(&have.to_le_bytes());
    }
    parse(&bytes);
}

fn parse(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    for vm in &bundle.system().vms {
        for file in [Some(vm.kernel), vm.initrd].into_iter().flatten() {
            assert!(bundle.file(file).len() <= bytes.len());
        }
    }
    let system = bundle.system();
    for team in &system.teams {
        let members = system.members(team);
        assert!((1..=MAX_MEMBERS).contains(&members.len()));
        for (nic, _) in members {
            assert_eq!(system.team_of(&nic), Some(team));
        }
    }
    assert!(bundle.file(FileId(u32::MAX)).is_empty());
}

/// A configuration with one of everything.
fn system() -> System {
    let vnic = VnicConfig {
        model: VnicModel::I82540em,
        mac: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        uplink: Some("pair".into()),
        rx_fcs: true,
        always_insert_fcs: false,
        protect_eeprom: true,
        uplink_link: config::UplinkLink::Up,
    };
    let vm = VmConfig {
        name: "guest".into(),
        memory_bytes: 64 << 20,
        kernel: FileId(0),
        initrd: Some(FileId(1)),
        command_line: "console=ttyS0".into(),
        cpu: None,
        shares: config::STANDARD_SHARES,
        priority: config::STANDARD_PRIORITY,
        restart: config::Restart::OnCrash,
        autostart: true,
        identity: config::IdentityConfig::default(),
        vnics: vec![vnic],
    };
    let nic = |name: &str, matches| NicConfig { name: name.into(), matches };
    let beacon = BeaconSettings { gateway: Some([10, 0, 5, 1].into()), ..BeaconSettings::STANDARD };
    let team = |name: &str, nics| TeamConfig {
        name: name.into(),
        nics,
        standby: Vec::new(),
        unused: Vec::new(),
        settings: TeamSettings { beacon: Some(beacon.clone()), ..TeamSettings::STANDARD },
    };
    System {
        host: HostConfig { log_level: LogLevel::Info, smt: false, self_test: None },
        nics: vec![
            nic("wire", NicMatch::Any),
            nic("second", NicMatch::Address { bus: 0, device: 3, function: 0 }),
            nic("third", NicMatch::Ids { vendor: 0x8086, device: 0x100e }),
        ],
        teams: vec![
            team("pair", TeamNics::Named(vec!["wire".into(), "second".into()])),
            team("rest", TeamNics::All),
        ],
        vms: vec![vm],
    }
}
