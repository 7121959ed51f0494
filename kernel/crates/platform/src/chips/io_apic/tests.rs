use super::*;
use proptest::prelude::*;

fn select(apic: &mut VirtualIoApic, register: u8) {
    apic.write(IOREGSEL, register.into());
}

fn read(apic: &mut VirtualIoApic, register: u8) -> u32 {
    select(apic, register);
    apic.read(IOWIN)
}

/// Returns the message that is due at the input of `register`'s entry afterwards.
fn write(apic: &mut VirtualIoApic, register: u8, value: u32) -> Option<InterruptMessage> {
    select(apic, register);
    apic.write(IOWIN, value);
    apic.due(register.wrapping_sub(IOREDTBL) >> 1)
}

fn end(apic: &mut VirtualIoApic, pin: u8, vector: u8) -> Option<InterruptMessage> {
    apic.eoi(vector);
    apic.due(pin)
}

fn low(pin: u8) -> u8 {
    IOREDTBL + 2 * pin
}

#[test]
fn after_reset_all_24_inputs_are_masked() {
    let mut apic = VirtualIoApic::new();
    assert_eq!(read(&mut apic, 1), 0x0017_0020);
    for pin in 0..24 {
        assert_eq!((read(&mut apic, low(pin)), read(&mut apic, low(pin) + 1)), (1 << 16, 0));
        assert_eq!(apic.set_line(pin, true), None);
    }
    assert_eq!(read(&mut apic, low(24)), 0);
    assert_eq!(apic.set_line(24, true), None);
}

#[test]
fn the_identifier_is_kept_and_shows_as_arbitration_too() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, 0, 0xffff_ffff);
    assert_eq!((read(&mut apic, 0), read(&mut apic, 2)), (0x0f00_0000, 0x0f00_0000));
}

#[test]
fn an_edge_sends_the_entrys_message_once() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(2) + 1, 0x0300_0000);
    write(&mut apic, low(2), 0x0000_0930);
    let message = InterruptMessage {
        destination: 3,
        logical: true,
        mode: DeliveryMode::LowestPriority,
        vector: 0x30,
        level: false,
    };
    assert_eq!(apic.set_line(2, true), Some(message));
    assert_eq!(apic.set_line(2, true), None);
    assert_eq!(apic.set_line(2, false), None);
    assert_eq!(apic.set_line(2, true), Some(message));
}

#[test]
fn a_level_is_sent_again_after_its_end_while_it_is_asserted() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(16), 0xa041);
    let message = apic.set_line(16, true).expect("sent");
    assert!(message.level && message.vector == 0x41);
    assert_eq!(read(&mut apic, low(16)), 0xe041, "remote IRR");
    assert_eq!(apic.set_line(16, false), None);
    assert_eq!(apic.set_line(16, true), None, "not before the end");
    assert_eq!(end(&mut apic, 16, 0x42), None, "another vector");
    assert_eq!(end(&mut apic, 16, 0x41), Some(message));
    apic.set_line(16, false);
    assert_eq!(end(&mut apic, 16, 0x41), None);
    assert_eq!(read(&mut apic, low(16)), 0xa041);
}

#[test]
fn a_level_that_was_masked_is_sent_when_the_mask_goes() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(17), 0x1_8051);
    assert_eq!(apic.set_line(17, true), None);
    assert_eq!(write(&mut apic, low(17), 0x8051).map(|message| message.vector), Some(0x51));
    write(&mut apic, low(17), 0x1_8051);
    assert_eq!(end(&mut apic, 17, 0x51), None, "masked again");
    assert!(write(&mut apic, low(17), 0x8051).is_some());
}

#[test]
fn switching_to_edge_and_back_ends_an_interrupt() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(9), 0x8051);
    assert!(apic.set_line(9, true).is_some());
    apic.set_line(9, false);
    write(&mut apic, low(9), 0x1_0051);
    write(&mut apic, low(9), 0x8051);
    assert_eq!(read(&mut apic, low(9)), 0x8051);
}

#[test]
fn a_refused_level_is_due_until_it_is_taken_or_released() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(16), 0x8041);
    let message = apic.set_line(16, true);
    assert!(message.is_some());
    assert_eq!(apic.due(16), None, "taken");
    apic.refused(16);
    assert_eq!(read(&mut apic, low(16)), 0x8041, "no remote IRR");
    assert_eq!(apic.due(16), message);
    apic.refused(16);
    apic.set_line(16, false);
    assert_eq!(apic.due(16), None);
}

#[test]
fn only_modes_with_a_vector_wait_for_an_end() {
    let mut apic = VirtualIoApic::new();
    write(&mut apic, low(3), 0x8400);
    let message = apic.set_line(3, true).expect("NMI");
    assert_eq!((message.mode, message.level), (DeliveryMode::Nmi, false));
    assert_eq!(read(&mut apic, low(3)), 0x8400);
    write(&mut apic, low(4), 0x0600);
    assert_eq!(apic.set_line(4, true), None, "start-up is reserved here");
}

#[test]
fn the_eoi_register_names_its_vector() {
    assert_eq!(VirtualIoApic::ended_by_write(EOIR, 0x151), Some(0x51));
    assert_eq!(VirtualIoApic::ended_by_write(IOWIN, 0x51), None);
}

proptest! {
    #[test]
    fn an_asserted_open_level_input_is_always_either_sent_or_waiting(
        steps in prop::collection::vec((0u8..5, any::<u8>(), any::<u32>()), 0..200)
    ) {
        let mut apic = VirtualIoApic::new();
        for (what, place, value) in steps {
            match what {
                0 => { write(&mut apic, place, value); }
                1 => { read(&mut apic, place); }
                2 => { apic.set_line(place & 31, value & 1 != 0); }
                3 => { apic.eoi(value as u8); }
                _ => apic.refused(place & 31),
            }
            for pin in 0..INPUTS {
                apic.due(pin);
            }
            for entry in &apic.entries {
                let fixed = entry.low >> 8 & 7 <= 1;
                if fixed && entry.level() && entry.asserted && entry.low & MASKED == 0 {
                    prop_assert!(entry.low & REMOTE_IRR != 0);
                }
                prop_assert!(entry.level() || entry.low & REMOTE_IRR == 0);
            }
        }
    }
}
