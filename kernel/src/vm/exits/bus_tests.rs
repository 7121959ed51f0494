//! The guest's bus with a vNIC on it.

use super::tests::vm_with;
use crate::virt::fake::FakeCpu;
use crate::vm::Vm;
use base::{Effects, GuestMemory, GuestPhysical, Instant, MacAddress, Port, Width};
use config::{VnicConfig, VnicModel};

const NOW: Instant = Instant::ZERO;
const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
/// Where firmware puts the vNIC's registers.
const BAR: u64 = 0xe000_0000;
const COMMAND: u8 = 0x04;
const BAR_0: u8 = 0x10;
const BAR_2: u8 = 0x18;

fn vm() -> Vm<FakeCpu> {
    vm_whose_vnic(config::UplinkLink::Follow)
}

fn vm_whose_vnic(uplink_link: config::UplinkLink) -> Vm<FakeCpu> {
    vm_with(Some(&VnicConfig {
        model: VnicModel::I82540em,
        mac: MAC,
        uplink: None,
        rx_fcs: false,
        always_insert_fcs: false,
        protect_eeprom: false,
        uplink_link,
    }))
}

impl Vm<FakeCpu> {
    fn config_write(&mut self, register: u8, value: u32) {
        self.port_write(0xcf8, Width::Dword, 0x8000_1800 | u32::from(register), NOW);
        self.port_write(0xcfc, Width::Dword, value, NOW);
    }

    fn nic_write(&mut self, register: u64, value: u64) {
        self.memory_write(GuestPhysical(BAR + register), Width::Dword, value, NOW);
    }

    fn dword(&mut self, at: u64) -> u64 {
        self.memory_read(GuestPhysical(at), Width::Dword, NOW)
    }
}

#[test]
fn no_base_address_register_hides_the_chipset_or_the_local_apic() {
    let mut vm = vm();
    for fixed in
        [platform::layout::LOCAL_APIC + 0x30, platform::layout::IO_APIC, platform::layout::ECAM.start]
    {
        let before = vm.dword(fixed);
        vm.config_write(BAR_0, (fixed & 0xfffe_0000) as u32);
        assert_eq!(vm.dword(fixed), before, "{fixed:#x}");
    }
    // The window still answers beside the page that is not its own.
    vm.config_write(BAR_0, 0xfee0_0000);
    assert_eq!(vm.dword(0xfee0_5400), 0x0000_0002, "RAL0");
    let com1 = vm.port_read(0x3fd, Width::Byte, NOW);
    for base in [0x3c0, 0xcc0] {
        vm.config_write(BAR_2, base);
    }
    assert_eq!(vm.port_read(0xcfc, Width::Dword, NOW), 0xcc1, "the register can be moved away again");
    vm.config_write(BAR_2, 0x3c0);
    assert_eq!(vm.port_read(0x3fd, Width::Byte, NOW), com1);
}

#[test]
fn a_vnic_that_may_not_master_the_bus_reaches_no_memory_and_looks_at_its_rings_when_it_may() {
    let mut vm = vm();
    vm.config_write(COMMAND, 7);
    // A ring of 8 receive descriptors at 0x1000, of which the guest has handed over none; buffers at 0x4000.
    for index in 0..8 {
        vm.memory.write(GuestPhysical(0x1000 + 16 * index), &(0x4000 + 2048 * index).to_le_bytes()).unwrap();
    }
    for (register, value) in [(0x0000, 0x40), (0x2800, 0x1000), (0x2808, 128), (0x0100, 0x8002)] {
        vm.nic_write(register, value);
    }
    let frame = [&MAC.0[..], &[0x5a; 54]].concat();
    let slot = vm.nics.slots()[0].clone();
    let sent = testkit::put_all(&mut slot.port(&mut slot.engine()), [&frame[..], &frame], NOW);
    assert_eq!(sent, 2, "they wait in the FIFO");

    let received = |vm: &Vm<FakeCpu>| {
        let mut bytes = [0; 60];
        vm.memory.read(GuestPhysical(0x4000), &mut bytes).unwrap();
        bytes[..] == frame[..]
    };
    vm.config_write(COMMAND, 3);
    vm.nic_write(0x2818, 7); // RDT
    assert!(!received(&vm), "written without bus mastering");
    assert!(!slot.is_on());

    let _ = vm.take_effects();
    vm.config_write(COMMAND, 7);
    assert!(vm.take_effects().contains(Effects::RX_SPACE), "it must be looked at without a doorbell");
    vm.after_frames(NOW);
    assert!(received(&vm));

    // The same with the power state, and for what waits to be sent.
    vm.config_write(0xe0, 3);
    vm.config_write(0xe0, 0);
    assert!(vm.take_effects().contains(Effects::TX_KICK));
}

#[test]
fn what_a_guest_does_to_its_own_interrupts_and_timers_causes_no_other_work() {
    let mut vm = vm();
    vm.config_write(COMMAND, 7);
    vm.nic_write(0x00d0, 1 << 2); // IMS: LSC
    let effects = |vm: &mut Vm<FakeCpu>, act: &dyn Fn(&mut Vm<FakeCpu>)| {
        let _ = vm.take_effects();
        act(vm);
        let effects = vm.take_effects();
        (effects, vm.needs_advance(effects))
    };
    let (raised, further) = effects(&mut vm, &|vm| vm.nic_write(0x00c8, 1 << 2)); // ICS
    assert!(raised.contains(Effects::IRQ_CHANGED) && !further);
    // The deadline of a timer is learned where it is set.
    let (set, further) = effects(&mut vm, &|vm| {
        for (port, value) in [(0x43, 0x30), (0x40, 0xff), (0x40, 0xff)] {
            vm.port_write(port, Width::Byte, value, NOW);
        }
    });
    assert!(set.contains(Effects::TIMER_CHANGED) && !further && vm.next_deadline().is_some());
    // Output for the console is for others to see.
    assert!(effects(&mut vm, &|vm| vm.port_write(0x3f8, Width::Byte, 0x41, NOW)).1);
}

#[test]
fn a_guest_that_reads_what_was_typed_is_given_the_rest() {
    let mut vm = vm();
    vm.console.note_typed(true);
    assert!(!vm.needs_advance(Effects::empty()));
    vm.port_read(0x3f8, Width::Byte, NOW);
    let effects = vm.take_effects();
    assert!(vm.needs_advance(effects));
}

#[test]
fn a_vnic_has_the_link_of_its_uplink_or_its_own_whatever_the_guest_does() {
    for (uplink_link, follows) in [(config::UplinkLink::Follow, true), (config::UplinkLink::Up, false)] {
        let mut vm = vm_whose_vnic(uplink_link);
        let linked = |vm: &mut Vm<FakeCpu>| {
            vm.config_write(COMMAND, 7);
            vm.nic_write(0, 1 << 6); // CTRL: SLU
            vm.dword(BAR + 8) & 1 << 1 != 0
        };
        assert!(linked(&mut vm));
        let slot = vm.nics.slots()[0].clone();
        assert_eq!(slot.follow_link(false, NOW), follows);
        assert_eq!(linked(&mut vm), !follows);
        vm.nics.power_cycle();
        assert_eq!((linked(&mut vm), slot.has_link()), (!follows, !follows), "started again");
        slot.follow_link(true, NOW);
        assert!(linked(&mut vm));
    }
}

#[test]
fn a_guest_that_gives_frames_up_waits_until_they_have_left_its_memory() {
    let mut vm = vm();
    vm.config_write(COMMAND, 7);
    // A transmit ring at 0x1000 with one frame of 1000 bytes at 0x4000.
    let descriptor = [&0x4000_u64.to_le_bytes()[..], &[0xe8, 3, 0, 3, 0, 0, 0, 0]].concat();
    vm.memory.write(GuestPhysical(0x1000), &descriptor).unwrap();
    for (register, value) in [(0x0000, 0x40), (0x3800, 0x1000), (0x3808, 128), (0x0400, 2), (0x3818, 1)] {
        vm.nic_write(register, value);
    }
    let slot = vm.nics.slots()[0].clone();
    let mut outbox = base::Outbox::new(0);
    assert_eq!(slot.port(&mut slot.engine()).fetch(&mut outbox, 1, NOW), 1);
    slot.note_kept(1);
    vm.nic_write(0x0000, 1 << 26); // CTRL.RST
    assert!(!vm.may_enter(), "a NIC reads its memory");
    let later = vm.next_deadline().expect("it is looked after");
    vm.advance(later);
    assert!(!vm.may_enter() && vm.next_deadline().is_some_and(|next| next > later));
    slot.note_kept(0);
    vm.advance(vm.next_deadline().unwrap());
    assert!(vm.may_enter());
    // It is not started again either, and takes no time meanwhile.
    slot.note_kept(1);
    vm.begin_start(later);
    assert!(!vm.is_runnable());
    slot.note_kept(0);
    vm.advance(vm.next_deadline().unwrap());
    assert!(vm.is_runnable());
    vm.set_state(shell::VmState::Running);
    // A guest that resets a vNIC that has nothing on its way does not wait.
    vm.nic_write(0x0000, 1 << 26);
    assert!(vm.may_enter());
}
