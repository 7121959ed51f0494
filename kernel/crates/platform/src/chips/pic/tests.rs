use super::*;
use proptest::prelude::*;

const EOI: u8 = 0x20;

/// Initialized as on PCs, vectors from 0x30 and 0x38 on, `icw4` for both, all inputs open.
fn pic(icw4: u8) -> Pic {
    let mut pic = Pic::new();
    for (port, base, cascade) in [(MASTER, 0x30, 4), (SLAVE, 0x38, 2)] {
        pic.write(port, 0x11);
        for value in [base, cascade, icw4, 0] {
            pic.write(port + 1, value);
        }
    }
    pic
}

fn ordinary() -> Pic {
    pic(0x01)
}

#[test]
fn the_masks_read_back_as_a_probe_expects() {
    let mut pic = Pic::new();
    pic.write(SLAVE + 1, 0xff);
    pic.write(MASTER + 1, 0xfb);
    assert_eq!((pic.read(MASTER + 1), pic.read(SLAVE + 1)), (0xfb, 0xff));
}

#[test]
fn an_edge_is_one_interrupt() {
    let mut pic = ordinary();
    pic.set_line(4, true);
    assert!(pic.output());
    assert_eq!(pic.read(MASTER), 0x10, "requested");
    assert_eq!(pic.acknowledge(), 0x34);
    assert!(!pic.output());
    pic.write(MASTER, 0x0b);
    assert_eq!(pic.read(MASTER), 0x10, "in service");
    pic.write(MASTER, EOI);
    assert_eq!(pic.read(MASTER), 0);
    assert!(!pic.output(), "the level alone asks for nothing");
    pic.set_line(4, false);
    pic.set_line(4, true);
    assert!(pic.output());
}

#[test]
fn a_level_asks_again_after_its_end() {
    let mut pic = ordinary();
    pic.write(ELCR, 0xff);
    pic.write(ELCR + 1, 0xff);
    assert_eq!((pic.read(ELCR), pic.read(ELCR + 1)), (0xf8, 0xde));
    pic.set_line(5, true);
    assert_eq!(pic.acknowledge(), 0x35);
    assert!(!pic.output());
    pic.write(MASTER, EOI);
    assert!(pic.output());
    pic.set_line(5, false);
    assert!(!pic.output());
}

#[test]
fn lower_inputs_come_first_and_the_slave_between_one_and_three() {
    let mut pic = ordinary();
    for irq in [3, 12, 8, 1] {
        pic.set_line(irq, true);
    }
    let mut order = [0; 4];
    for vector in &mut order {
        *vector = pic.acknowledge();
        if *vector >= 0x38 {
            pic.write(SLAVE, EOI);
        }
        pic.write(MASTER, EOI);
    }
    assert_eq!(order, [0x31, 0x38, 0x3c, 0x33]);
    assert!(!pic.output());
}

#[test]
fn an_input_in_service_blocks_lower_ones_until_it_ends() {
    let mut pic = ordinary();
    pic.set_line(3, true);
    assert_eq!(pic.acknowledge(), 0x33);
    pic.set_line(4, true);
    assert!(!pic.output());
    pic.set_line(0, true);
    assert_eq!(pic.acknowledge(), 0x30);
    pic.write(MASTER, 0x60);
    assert!(!pic.output(), "3 is still in service");
    pic.write(MASTER, 0x63);
    assert_eq!(pic.acknowledge(), 0x34);
}

#[test]
fn a_withdrawn_request_is_spurious_and_not_in_service() {
    let mut pic = ordinary();
    pic.set_line(4, true);
    pic.set_line(4, false);
    assert_eq!(pic.acknowledge(), 0x37);
    pic.write(MASTER, 0x0b);
    assert_eq!(pic.read(MASTER), 0);
}

#[test]
fn a_slaves_spurious_interrupt_is_in_service_at_the_master_only() {
    let mut pic = ordinary();
    pic.set_line(9, true);
    // The slave drops its request inside the acknowledge cycle.
    pic.slave.set_line(1, false);
    assert_eq!(pic.acknowledge(), 0x3f);
    for (port, in_service) in [(MASTER, 4), (SLAVE, 0)] {
        pic.write(port, 0x0b);
        assert_eq!(pic.read(port), in_service);
    }
}

#[test]
fn masked_edges_wait_for_the_mask() {
    let mut pic = ordinary();
    pic.write(MASTER + 1, 0x10);
    pic.set_line(4, true);
    assert!(!pic.output());
    pic.write(MASTER + 1, 0);
    assert_eq!(pic.acknowledge(), 0x34);
}

#[test]
fn special_mask_mode_lets_lower_inputs_interrupt_masked_ones() {
    let mut pic = ordinary();
    pic.set_line(3, true);
    pic.acknowledge();
    pic.set_line(6, true);
    pic.write(MASTER + 1, 0x08);
    assert!(!pic.output());
    pic.write(MASTER, 0x68);
    assert_eq!(pic.acknowledge(), 0x36);
    pic.write(MASTER, EOI);
    pic.write(MASTER, 0x0b);
    assert_eq!(pic.read(MASTER), 0x08, "the masked one does not end unnamed");
    pic.write(MASTER, 0x48);
}

#[test]
fn automatic_end_of_interrupt_leaves_nothing_in_service() {
    let mut pic = pic(0x03);
    pic.set_line(3, true);
    pic.acknowledge();
    pic.write(MASTER, 0x0b);
    assert_eq!(pic.read(MASTER), 0);
    pic.set_line(4, true);
    assert!(pic.output());
}

#[test]
fn rotation_makes_the_input_that_ended_the_last() {
    let mut pic = ordinary();
    pic.set_line(3, true);
    pic.acknowledge();
    pic.write(MASTER, 0xa0);
    for irq in [0, 3, 4] {
        pic.set_line(irq, false);
        pic.set_line(irq, true);
    }
    assert_eq!(pic.acknowledge(), 0x34);
    pic.write(MASTER, 0x64);
    assert_eq!(pic.acknowledge(), 0x30);
    pic.write(MASTER, 0x60);
    assert_eq!(pic.acknowledge(), 0x33);
    pic.write(MASTER, 0x63);
    // Set priority: 5 is the lowest now, 6 the highest.
    pic.write(MASTER, 0xc5);
    for irq in [1, 7] {
        pic.set_line(irq, true);
    }
    assert_eq!(pic.acknowledge(), 0x37);
}

#[test]
fn automatic_rotation_follows_each_acknowledge() {
    let mut pic = pic(0x03);
    pic.write(MASTER, 0x80);
    pic.set_line(3, true);
    pic.acknowledge();
    for irq in [0, 4] {
        pic.set_line(irq, true);
    }
    assert_eq!(pic.acknowledge(), 0x34);
    pic.write(MASTER, 0x00);
    assert_eq!(pic.acknowledge(), 0x30);
}

#[test]
fn polling_acknowledges() {
    let mut pic = ordinary();
    pic.write(MASTER, 0x0c);
    assert_eq!(pic.read(MASTER), 0);
    pic.set_line(6, true);
    pic.write(MASTER, 0x0c);
    assert_eq!(pic.read(MASTER), 0x86);
    assert!(!pic.output());
    pic.write(MASTER, 0x0b);
    assert_eq!(pic.read(MASTER), 0x40);
}

#[test]
fn in_special_fully_nested_mode_the_slave_interrupts_itself() {
    for (icw4, nested) in [(0x01, false), (0x11, true)] {
        let mut pic = pic(icw4);
        pic.set_line(12, true);
        assert_eq!(pic.acknowledge(), 0x3c);
        pic.set_line(8, true);
        assert_eq!(pic.output(), nested);
    }
}

#[test]
fn in_special_fully_nested_mode_other_inputs_do_not_interrupt_themselves() {
    let mut pic = pic(0x11);
    pic.set_line(4, true);
    assert_eq!(pic.acknowledge(), 0x34);
    pic.set_line(4, false);
    pic.set_line(4, true);
    assert!(!pic.output());
    pic.write(MASTER, EOI);
    assert!(pic.output());
}

#[test]
fn initialization_opens_the_mask_and_forgets_edges() {
    let mut pic = ordinary();
    pic.set_line(4, true);
    pic.write(MASTER + 1, 0xff);
    pic.write(MASTER, 0x13);
    assert_eq!(pic.read(MASTER + 1), 0);
    assert!(!pic.output());
    // Single, with ICW4: no ICW3.
    pic.write(MASTER + 1, 0x57);
    pic.write(MASTER + 1, 0x01);
    pic.write(MASTER + 1, 0xaa);
    assert_eq!(pic.read(MASTER + 1), 0xaa);
    pic.set_line(0, true);
    assert_eq!(pic.acknowledge(), 0x50);
}

proptest! {
    #[test]
    fn any_traffic_leaves_output_and_acknowledge_in_agreement(
        steps in prop::collection::vec((0u8..4, 0usize..6, any::<u8>()), 0..200)
    ) {
        const PORTS: [u16; 6] = [MASTER, MASTER + 1, SLAVE, SLAVE + 1, ELCR, ELCR + 1];
        let mut pic = ordinary();
        for (what, port, value) in steps {
            match what {
                0 => pic.write(PORTS[port], value),
                1 => { pic.read(PORTS[port]); }
                2 => pic.set_line(value & 0xf, value & 0x10 != 0),
                _ => {
                    let (asked, before) = (pic.output(), pic.master.clone());
                    let vector = pic.acknowledge();
                    if !asked {
                        prop_assert_eq!(vector, before.vector(None), "spurious");
                        prop_assert_eq!(alloc::format!("{before:?}"), alloc::format!("{:?}", pic.master));
                    }
                }
            }
        }
    }
}
