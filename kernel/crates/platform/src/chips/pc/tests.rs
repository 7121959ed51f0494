use super::*;
use crate::pci::FIRST_NIC_SLOT;
use alloc::vec::Vec;
use base::Duration;
use base::Width;
use base::Width::{Byte, Dword, Qword, Word};
use proptest::prelude::*;

const NOW: Instant = Instant::ZERO;

fn board() -> Pc {
    Pc::new(&PcConfig {
        memory_bytes: 512 << 20,
        vcpus: 1,
        tsc_hz: 1_000_000_000,
        wall_clock_unix_seconds: 1_795_468_684,
        nics: 2,
    })
}

fn read(pc: &mut Pc, port: u16, width: Width) -> u32 {
    pc.port_read(port, width, NOW).0
}

fn write(pc: &mut Pc, port: u16, width: Width, value: u32) -> Effects {
    pc.port_write(port, width, value, NOW)
}

#[test]
fn unclaimed_ports_and_addresses_float() {
    let mut pc = board();
    assert_eq!(read(&mut pc, 0x60, Byte), 0xff);
    assert_eq!(read(&mut pc, 0x64, Byte), 0xff);
    assert_eq!(read(&mut pc, 0x1234, Dword), u32::MAX);
    assert_eq!(read(&mut pc, 0xffff, Dword), u32::MAX);
    assert_eq!(pc.mmio_read(0, GuestPhysical(0xb8000), Word, NOW), None);
    assert_eq!(pc.mmio_write(0, GuestPhysical(0xb8000), Word, 0, NOW), None);
    assert_eq!(write(&mut pc, 0x80, Byte, 0), Effects::empty());
}

#[test]
fn pci_is_probed_by_mechanism_1_and_narrow_writes_do_not_reach_its_address() {
    let mut pc = board();
    let _ = write(&mut pc, 0xcfb, Byte, 1);
    let _ = write(&mut pc, 0xcf8, Dword, 0x8000_0000);
    assert_eq!(read(&mut pc, 0xcf8, Dword), 0x8000_0000);
    assert_eq!(read(&mut pc, 0xcfc, Dword), 0x0d57_8086);
    assert_eq!(read(&mut pc, 0xcfe, Word), 0x0d57);
    let _ = write(&mut pc, 0xcf8, Word, 0x1800);
    assert_eq!(read(&mut pc, 0xcf8, Dword), 0x8000_0000);
    assert_eq!(pc.power_event(), None);
}

#[test]
fn configuration_space_is_the_same_through_memory() {
    let mut pc = board();
    let nic = GuestPhysical(layout::ECAM.start + (u64::from(FIRST_NIC_SLOT) << 15));
    assert_eq!(pc.mmio_read(0, nic, Dword, NOW).map(|read| read.0), Some(0x100e_8086));
    assert_eq!(
        pc.mmio_read(0, GuestPhysical(nic.0 + 8), Qword, NOW).map(|read| read.0),
        Some(0x4010_0200_0002)
    );
    let bar = GuestPhysical(nic.0 + 0x10);
    let effects = pc.mmio_write(0, bar, Dword, 0xe100_0000, NOW);
    assert!(effects.is_some_and(|effects| effects.contains(Effects::MAP_CHANGED)));
    assert_eq!(
        pc.find_bar(GuestPhysical(0xe100_0010)).map(|hit| (hit.slot, hit.bar, hit.offset)),
        Some((3, 0, 16))
    );
    assert_eq!(pc.find_port(0xc000).map(|hit| (hit.slot, hit.bar)), Some((3, 2)));
}

#[test]
fn console_bytes_travel_both_ways() {
    let mut pc = board();
    let mut effects = Effects::empty();
    for byte in *b"hello" {
        effects |= write(&mut pc, 0x3f8, Byte, byte.into());
    }
    assert!(effects.contains(Effects::CONSOLE));
    let mut out = [0; 16];
    let (taken, _) = pc.take_console(&mut out);
    assert_eq!(&out[..taken], b"hello");
    assert!(pc.give_console(b'x', NOW).0);
    assert!(!pc.give_console(b'y', NOW).0, "without FIFOs there is room for one");
    assert_eq!(read(&mut pc, 0x3f8, Byte), u32::from(b'x'));
}

#[test]
fn power_off_and_all_resets_are_reported() {
    let mut pc = board();
    assert!(write(&mut pc, 0x604, Word, 0x3401).contains(Effects::POWER));
    assert_eq!(pc.power_event(), Some(PowerEvent::Off));
    for (port, value) in [(0xcf9, 0x06), (0x64, 0xfe)] {
        assert!(write(&mut pc, port, Byte, value).contains(Effects::POWER));
        assert_eq!(pc.power_event(), Some(PowerEvent::Reset));
    }
    let _ = write(&mut pc, 0xcf9, Byte, 0x02);
    assert_eq!(pc.power_event(), None);
}

#[test]
fn the_power_management_timer_is_one_read_of_32_bits() {
    let mut pc = board();
    let second = Instant::ZERO + Duration::from_secs(1);
    assert_eq!(pc.port_read(0x608, Dword, second).0, 3_579_545);
}

/// Routes `pin` of the I/O APIC to `vector` of the first processor, whose local APIC is enabled.
fn route(pc: &mut Pc, pin: u64, vector: u64) {
    let writes = [
        (layout::LOCAL_APIC + 0xf0, 0x1ff),
        (layout::LOCAL_APIC + 0x350, 0x1_0000),
        (layout::IO_APIC, 0x11 + 2 * pin),
        (layout::IO_APIC + 0x10, 0),
        (layout::IO_APIC, 0x10 + 2 * pin),
        (layout::IO_APIC + 0x10, vector),
    ];
    for (address, value) in writes {
        assert!(pc.mmio_write(0, GuestPhysical(address), Dword, value, NOW).is_some());
    }
}

const LEVEL: u64 = 1 << 15;

#[test]
fn a_nic_interrupt_arrives_at_the_input_that_the_routing_table_names() {
    let mut pc = board();
    let gsi = layout::pci_gsi(FIRST_NIC_SLOT, 0);
    route(&mut pc, gsi.into(), LEVEL | 0x41);
    assert!(!pc.interrupts().pending(0));
    assert!(pc.set_function_interrupt(FIRST_NIC_SLOT, true).contains(Effects::IRQ_CHANGED));
    assert_eq!(pc.acknowledge(0), Some(0x41));
    let _ = pc.set_function_interrupt(FIRST_NIC_SLOT, false);
    let _ = pc.mmio_write(0, GuestPhysical(layout::LOCAL_APIC + 0xb0), Dword, 0, NOW);
    assert_eq!(pc.acknowledge(0), None);
}

#[test]
fn a_line_that_stays_asserted_interrupts_again_at_the_end() {
    let mut pc = board();
    let gsi = layout::pci_gsi(FIRST_NIC_SLOT, 0);
    route(&mut pc, gsi.into(), LEVEL | 0x41);
    let _ = pc.set_function_interrupt(FIRST_NIC_SLOT, true);
    for _ in 0..3 {
        assert_eq!(pc.acknowledge(0), Some(0x41));
        assert_eq!(pc.acknowledge(0), None);
        let eoi = pc.mmio_write(0, GuestPhysical(layout::LOCAL_APIC + 0xb0), Dword, 0, NOW);
        assert!(eoi.is_some_and(|effects| effects.contains(Effects::IRQ_CHANGED)));
    }
}

#[test]
fn the_clocks_alarm_is_a_wake_event_even_while_its_own_interrupt_waits() {
    let mut pc = board();
    route(&mut pc, 9, LEVEL | 0x49);
    // RTC_EN; the clock: alarm at each second, with alarm and update interrupt enabled.
    let _ = write(&mut pc, 0x603, Byte, 4);
    for (index, value) in [(1, 0xff), (3, 0xff), (5, 0xff), (0xb, 0x12)] {
        let _ = write(&mut pc, 0x70, Byte, index);
        let _ = write(&mut pc, 0x71, Byte, value);
    }
    let _ = pc.advance(Instant(1_000_000_000));
    assert_eq!(pc.acknowledge(0), None, "the alarm is not enabled, and the update's interrupt waits");
    let _ = pc.port_write(0x71, Byte, 0x32, Instant(1_000_000_000));
    let _ = pc.port_write(0x70, Byte, 0xc, Instant(1_000_000_000));
    let _ = pc.port_read(0x71, Byte, Instant(1_000_000_000));
    assert_eq!(pc.next_deadline(), Some(Instant(2_000_000_000)));
    let _ = pc.advance(Instant(2_000_000_000));
    assert_eq!(pc.acknowledge(0), Some(0x49));
    assert_eq!(pc.port_read(0x601, Byte, Instant(2_000_000_000)).0, 4, "RTC_STS");
}

#[test]
fn uart_clock_and_power_button_interrupt_at_their_inputs() {
    let mut pc = board();
    route(&mut pc, 4, 0x44);
    route(&mut pc, 8, 0x48);
    route(&mut pc, 9, LEVEL | 0x49);
    let _ = write(&mut pc, 0x3fc, Byte, 0x08);
    assert!(write(&mut pc, 0x3f9, Byte, 0x02).contains(Effects::IRQ_CHANGED));
    assert_eq!(pc.acknowledge(0), Some(0x44));
    let _ = pc.mmio_write(0, GuestPhysical(layout::LOCAL_APIC + 0xb0), Dword, 0, NOW);

    let _ = write(&mut pc, 0x70, Byte, 0x0b) | write(&mut pc, 0x71, Byte, 0x12);
    let deadline = pc.next_deadline().expect("the update interrupt is due");
    assert_eq!(deadline, NOW + Duration::from_secs(1));
    assert!(pc.advance(deadline).contains(Effects::IRQ_CHANGED));
    assert_eq!(pc.acknowledge(0), Some(0x48));
    let _ = pc.mmio_write(0, GuestPhysical(layout::LOCAL_APIC + 0xb0), Dword, 0, NOW);

    let _ = write(&mut pc, 0x602, Word, 0x100);
    assert!(pc.press_power_button().contains(Effects::IRQ_CHANGED));
    assert_eq!(pc.acknowledge(0), Some(0x49));
}

#[test]
fn the_pit_ticks_through_the_io_apic_on_every_period() {
    let mut pc = board();
    route(&mut pc, 2, 0x30);
    for (port, value) in [(0x43, 0x34), (0x40, 0x9c), (0x40, 0x2e)] {
        let _ = write(&mut pc, port, Byte, value);
    }
    for _ in 0..3 {
        let deadline = pc.next_deadline().expect("the PIT runs");
        let _ = pc.advance(deadline);
        assert_eq!(pc.acknowledge(0), Some(0x30));
        let _ = pc.mmio_write(0, GuestPhysical(layout::LOCAL_APIC + 0xb0), Dword, 0, deadline);
    }
}

#[test]
fn local_apic_registers_are_refused_where_they_do_not_exist() {
    let mut pc = board();
    assert_eq!(pc.interrupts().read_msr(0, 0x1b, NOW), Ok(0xfee0_0900));
    assert!(pc.interrupts().read_msr(0, 0x802, NOW).is_err(), "not in x2APIC mode");
    assert!(pc.interrupts().read_msr(7, 0x1b, NOW).is_err(), "no such processor");
}

proptest! {
    #[test]
    fn any_traffic_is_survived(
        steps in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u8..12, any::<u16>()), 0..400)
    ) {
        const PORTS: [u16; 40] = [
            0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x64, 0x70, 0x71, 0x3f8, 0x3f9, 0x3fa, 0x3fb,
            0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x4d0, 0x4d1, 0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x608, 0xcf8, 0xcf9,
            0xcfc, 0xcfd, 0xcfe, 0xcff, 0xc000, 0x80, 0xed, 0xfffe, 0xffff,
        ];
        let mut pc = board();
        let mut now = NOW;
        for (address, value, what, wait) in steps {
            now = now + Duration::from_micros(wait.into());
            let port = *PORTS.get(usize::from(address) % 48).unwrap_or(&address);
            let width = [Byte, Word, Dword, Qword][usize::from(what & 3)];
            let page = [layout::ECAM.start, layout::IO_APIC, layout::LOCAL_APIC, 0xe000_0000][usize::from(what) % 4];
            let memory = GuestPhysical(page + u64::from(address));
            match what {
                0..3 => { let _ = pc.port_read(port, width, now); }
                3..6 => { let _ = pc.port_write(port, width, value, now); }
                6 => { let _ = pc.mmio_read(0, memory, width, now); }
                7 => { let _ = pc.mmio_write(0, memory, width, value.into(), now); }
                8 => { let _ = pc.set_function_interrupt(address as u8, value & 1 != 0); }
                9 => { let _ = pc.give_console(value as u8, now); }
                10 => { let _ = pc.take_console(&mut [0; 8]); }
                _ => { let _ = pc.advance(now); }
            }
            let _ = (pc.next_deadline(), pc.power_event(), pc.find_bar(memory), pc.find_port(port));
            prop_assert_eq!(pc.lines, pc.levels(), "a line changed without IRQ_CHANGED");
            let kept = |due| pc.due.is_some_and(|kept| kept <= due);
            prop_assert!(pc.devices_due().is_none_or(kept), "a deadline was missed");
        }
    }

    #[test]
    fn advancing_to_each_deadline_makes_progress(
        writes in proptest::collection::vec((0usize..10, any::<u8>()), 0..60)
    ) {
        const PORTS: [u16; 10] = [0x70, 0x71, 0x40, 0x42, 0x43, 0x61, 0x3f9, 0x3fa, 0x602, 0x3f8];
        let mut pc = board();
        for (port, value) in writes {
            let _ = pc.port_write(PORTS[port], Byte, value.into(), NOW);
        }
        let mut deadlines: Vec<Instant> = Vec::new();
        for _ in 0..50 {
            let Some(deadline) = pc.next_deadline() else { break };
            prop_assert!(deadlines.last().is_none_or(|last| *last < deadline), "{deadlines:?} then {deadline:?}");
            deadlines.push(deadline);
            let _ = pc.advance(deadline);
        }
    }
}
