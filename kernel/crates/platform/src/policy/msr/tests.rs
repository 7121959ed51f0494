use super::*;
use proptest::prelude::*;

fn msrs() -> Msrs {
    let policy = CpuidPolicy { tsc_hz: 2_500_000_000, ..CpuidPolicy::default() };
    Msrs::new(
        policy,
        HostMsrs {
            arch_capabilities: u64::MAX,
            microcode: 0x42,
            physical_bits: 39,
            efer: 0xd01,
            ..HostMsrs::default()
        },
    )
}

#[test]
fn registers_that_linux_reads_without_catching_faults_all_exist() {
    let msrs = msrs();
    for msr in [0x10, 0x17, 0x1b, 0x3a, 0x3b, 0x8b, 0xfe, 0x179, 0x1a0, 0x277, 0x2ff, 0x6e0, 0xc000_0080] {
        assert_ne!(msrs.read(msr), ReadMsr::Refuse, "{msr:#x}");
    }
}

#[test]
fn unknown_and_hidden_registers_are_refused() {
    let mut msrs = msrs();
    for msr in [0x0, 0x48, 0x10a, 0x140, 0x186, 0x480, 0xda0, 0xc000_0103, 0xc001_0015, u32::MAX] {
        assert_eq!(msrs.read(msr), ReadMsr::Refuse, "{msr:#x}");
        assert_eq!(msrs.write(msr, 0, 0), WriteMsr::Refuse, "{msr:#x}");
    }
}

#[test]
fn registers_appear_with_the_policy_that_shows_them() {
    let policy =
        CpuidPolicy { spec_ctrl: true, rdtscp: true, arch_capabilities: true, ..CpuidPolicy::default() };
    let mut msrs =
        Msrs::new(policy, HostMsrs { arch_capabilities: u64::MAX, spec_ctrl: 7, ..HostMsrs::default() });
    assert_eq!((msrs.read(0x48), msrs.read(0xc000_0103)), (ReadMsr::Value(0), ReadMsr::Processor));
    assert_eq!((msrs.read(0x49), msrs.write(0x49, 1, 0)), (ReadMsr::Refuse, WriteMsr::Processor));
    let ReadMsr::Value(shown) = msrs.read(IA32_ARCH_CAPABILITIES) else { panic!("it is shown") };
    // TSX_CTRL, MISC_PACKAGE_CTLS, FB_CLEAR_CTRL and GDS_CTRL announce registers that are hidden.
    assert_eq!(shown & bits(&[7, 10, 18, 25]), 0);
    assert_eq!(shown & 1, 1);
}

#[test]
fn speculation_controls_take_the_bits_that_are_shown_and_keep_them() {
    let policy = CpuidPolicy { spec_ctrl: true, arch_capabilities: true, ..CpuidPolicy::default() };
    let host = HostMsrs { arch_capabilities: u64::MAX, spec_ctrl: 0b101, ..HostMsrs::default() };
    let mut msrs = Msrs::new(policy, host);
    assert_eq!(msrs.write(0x48, 0b101, 0), WriteMsr::SpecCtrl);
    assert_eq!((msrs.read(0x48), msrs.spec_ctrl()), (ReadMsr::Value(0b101), 0b101));
    assert_eq!(msrs.write(0x48, 1 << 10, 0), WriteMsr::Refuse, "BHI_DIS_S is not shown");
    assert_eq!(msrs.spec_ctrl(), 0b101);
}

#[test]
fn enhanced_ibrs_is_shown_with_the_register_that_switches_it_on_only() {
    let policy = CpuidPolicy { arch_capabilities: true, ..CpuidPolicy::default() };
    let msrs = Msrs::new(policy, HostMsrs { arch_capabilities: 0b11, ..HostMsrs::default() });
    assert_eq!(msrs.read(IA32_ARCH_CAPABILITIES), ReadMsr::Value(1));
}

#[test]
fn writing_the_counter_moves_the_offset_and_tsc_adjust_with_it() {
    let mut msrs = msrs();
    assert_eq!(msrs.write(IA32_TIME_STAMP_COUNTER, 100, 1000), WriteMsr::MoveTsc(900u64.wrapping_neg()));
    assert_eq!(msrs.read(IA32_TSC_ADJUST), ReadMsr::Value(900u64.wrapping_neg()));
    // The deadline is one of the guest's counter, and never 0, which would disarm the timer.
    assert_eq!(
        (msrs.from_local_apic(IA32_TSC_DEADLINE, 1000), msrs.from_local_apic(0x830, 1000)),
        (100, 1000)
    );
    assert_eq!((msrs.to_local_apic(IA32_TSC_DEADLINE, 100), msrs.to_local_apic(0x830, 100)), (1000, 100));
    assert_eq!(msrs.to_local_apic(IA32_TSC_DEADLINE, 900u64.wrapping_neg()), 1);
    assert_eq!(msrs.write(IA32_TIME_STAMP_COUNTER, 300, 1100), WriteMsr::MoveTsc(100), "it shows 200");
    assert_eq!(msrs.write(IA32_TSC_ADJUST, 0, 100), WriteMsr::MoveTsc(800));
}

#[test]
fn the_system_time_follows_the_counter_that_the_guest_moves() {
    let mut msrs = msrs();
    assert_eq!(msrs.system_time(), None);
    assert_eq!(msrs.write(clock::SYSTEM_TIME, 0x5001, 0), WriteMsr::MoveTsc(0));
    assert_eq!(msrs.read(clock::SYSTEM_TIME), ReadMsr::Value(0x5001));
    let at_zero = |msrs: &mut Msrs| msrs.system_time().map(|(at, bytes)| (at.0, bytes[8..16].to_vec()));
    assert_eq!(at_zero(&mut msrs), Some((0x5000, 0u64.to_le_bytes().to_vec())));
    assert_eq!(msrs.write(IA32_TIME_STAMP_COUNTER, 5000, 1000), WriteMsr::MoveTsc(4000));
    assert_eq!(at_zero(&mut msrs), Some((0x5000, 4000u64.to_le_bytes().to_vec())));
    assert_eq!(msrs.write(clock::WALL_CLOCK, 0x6000, 0), WriteMsr::WallClock(GuestPhysical(0x6000)));
    assert_eq!(msrs.write(clock::WALL_CLOCK, 0x6001, 0), WriteMsr::Refuse);
    assert_eq!(msrs.write(clock::SYSTEM_TIME, 0x5003, 0), WriteMsr::Refuse);
}

#[test]
fn mtrrs_are_as_firmware_leaves_them_and_keep_what_is_written() {
    let mut msrs = msrs();
    assert_eq!(msrs.read(0xfe), ReadMsr::Value(0x508));
    assert_eq!(msrs.read(0x2ff), ReadMsr::Value(0xc06));
    assert_eq!(
        (msrs.read(0x200), msrs.read(0x201)),
        (ReadMsr::Value(0xc000_0000), ReadMsr::Value(0x7f_c000_0800))
    );
    assert_eq!(msrs.read(0x259), ReadMsr::Value(0));
    assert_eq!(msrs.write(0x202, 0x1_0000_0006, 0), WriteMsr::Done);
    assert_eq!(msrs.read(0x202), ReadMsr::Value(0x1_0000_0006));
    assert_eq!(msrs.read(0x210), ReadMsr::Refuse);
}

#[test]
fn values_that_the_processor_would_refuse_are_refused() {
    let mut msrs = msrs();
    let refused = [
        (0xfe, 0),
        (0x2ff, 2),
        (0x250, 0x03),
        (0x202, 1 << 39),
        (0x203, 1 << 10),
        (IA32_PAT, 2),
        (IA32_EFER, 1 << 12),
        (IA32_FEATURE_CONTROL, 5),
        (IA32_DEBUGCTL, 1 << 6),
    ];
    for (msr, value) in refused {
        let before = msrs.read(msr);
        assert_eq!(msrs.write(msr, value, 0), WriteMsr::Refuse, "{msr:#x} <- {value:#x}");
        assert_eq!(msrs.read(msr), before);
    }
    assert_eq!(msrs.write(IA32_PAT, 0x0007_0406_0007_0406, 0), WriteMsr::Processor);
    assert_eq!(msrs.write(IA32_EFER, 0xd01, 0), WriteMsr::Processor);
}

#[test]
fn misc_enable_keeps_the_bits_that_hide_the_counters() {
    let mut msrs = msrs();
    assert_eq!(msrs.write(IA32_MISC_ENABLE, 0, 0), WriteMsr::Done);
    assert_eq!(msrs.read(IA32_MISC_ENABLE), ReadMsr::Value(0x1800));
}

#[test]
fn no_register_is_listed_twice() {
    let list = processor::PROCESSOR_MSRS;
    assert!(list.iter().enumerate().all(|(i, a)| list[i + 1..].iter().all(|b| a.index != b.index)));
}

proptest! {
    #[test]
    fn any_write_is_answered_and_what_is_done_can_be_read(
        msr in prop_oneof![any::<u32>(), 0u32..0x1000, 0xc000_0000u32..0xc000_0200], value: u64, tsc: u64
    ) {
        let mut msrs = msrs();
        if msrs.write(msr, value, tsc) == WriteMsr::Done && msr != IA32_BIOS_UPDT_TRIG {
            prop_assert_ne!(msrs.read(msr), ReadMsr::Refuse);
        }
    }
}

#[test]
fn system_configuration_exists_if_the_processor_has_it() {
    let host = HostMsrs { system_configuration: true, ..HostMsrs::default() };
    let mut msrs = Msrs::new(CpuidPolicy::default(), host);
    assert_eq!(msrs.read(SYSCFG), ReadMsr::Value(0));
    assert_eq!(msrs.read(HWCR), ReadMsr::Value(TSC_FREQUENCY_SELECT));
    assert_eq!(msrs.write(HWCR, TSC_FREQUENCY_SELECT, 0), WriteMsr::Done);
    assert_eq!(msrs.write(SYSCFG, 1 << 21, 0), WriteMsr::Refuse);
    let msrs = Msrs::new(CpuidPolicy::default(), HostMsrs::default());
    assert_eq!(msrs.read(SYSCFG), ReadMsr::Refuse);
}

#[test]
fn counters_that_every_amd_processor_has_read_as_zero_and_take_what_is_written() {
    let host = HostMsrs { system_configuration: true, ..HostMsrs::default() };
    let mut amd = Msrs::new(CpuidPolicy::default(), host);
    let mut intel = Msrs::new(CpuidPolicy::default(), HostMsrs::default());
    let others = [0xc001_0016, 0xc001_0019, 0xc001_001a, 0xc001_001d, 0xc001_0055, 0xc001_0058];
    for msr in (0xc001_0000..=0xc001_0007).chain(others) {
        assert_eq!(amd.write(msr, u64::MAX, 0), WriteMsr::Done, "{msr:#x}");
        assert_eq!(amd.read(msr), ReadMsr::Value(0), "{msr:#x}");
        assert_eq!(
            (intel.read(msr), intel.write(msr, 0, 0)),
            (ReadMsr::Refuse, WriteMsr::Refuse),
            "{msr:#x}"
        );
    }
    // The microcode loader is written only. The extended counters, and what controls speculation, do not exist.
    assert_eq!(
        (amd.write(0xc001_0020, 1 << 20, 0), amd.read(0xc001_0020)),
        (WriteMsr::Done, ReadMsr::Refuse)
    );
    for msr in [0xc001_0008, 0xc001_000f, 0xc001_0117, 0xc001_0200, 0xc001_1020, 0xc001_1029] {
        assert_eq!((amd.read(msr), amd.write(msr, 0, 0)), (ReadMsr::Refuse, WriteMsr::Refuse), "{msr:#x}");
    }
}
