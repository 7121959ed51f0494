//! The whole board: ports and memory-mapped registers of every device but the vNICs, the console, time.

use crate::Input;
use base::{Effects, GuestPhysical, Instant, Width};
use platform::layout;
use platform::pc::{Pc, PcConfig};

/// First ports of the board's devices; four bits of the input choose one nearby.
const PORTS: [u16; 14] = [
    0x20,
    0xa0,
    0x40,
    0x60,
    0x70,
    0x80,
    0x92,
    layout::COM1,
    0x4d0,
    0xcf8,
    0xcf9,
    layout::PM_BASE,
    0xc000,
    0xfff8,
];
const PAGES: [u64; 4] = [layout::LOCAL_APIC, layout::IO_APIC, layout::ECAM.start, layout::PCI_MEMORY.start];
const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

/// Accesses to one board with one processor.
///
/// # Panics
/// When an interrupt becomes pending or the deadline moves closer without an effect that says so, a pending
/// interrupt cannot be taken, or advancing does not move a deadline that has passed.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pc = Pc::new(&PcConfig {
        memory_bytes: 256 << 20,
        vcpus: 1,
        tsc_hz: 3_000_000_000,
        wall_clock_unix_seconds: 1_800_000_000,
        nics: 2,
    });
    let mut now = Instant::ZERO;
    let mut console = [0; 16];
    while !input.is_empty() {
        let (deadline, pending) = (pc.next_deadline(), pc.interrupts().pending(0));
        let action = input.u8();
        let width = WIDTHS[usize::from(action >> 4 & 3)];
        let effects = match action & 15 {
            0..5 => port(&mut pc, action, &mut input, now),
            5..9 => {
                let at = GuestPhysical(page(&mut input));
                let value = input.number(width.bytes());
                pc.mmio_write(0, at, width, value, now).unwrap_or_default()
            }
            9 | 10 => {
                let at = GuestPhysical(page(&mut input));
                let (value, effects) = pc.mmio_read(0, at, width, now).unwrap_or_default();
                assert_eq!(value & !width.mask(), 0);
                // A read between the local APIC's registers raises its error interrupt without an effect: the
                // processor that reads is checked at its next entry anyway.
                effects | Effects::IRQ_CHANGED
            }
            11 => pc.give_console(input.u8(), now).1,
            12 => {
                let (taken, effects) = pc.take_console(&mut console);
                assert!(taken <= console.len());
                effects
            }
            13 => pc.set_function_interrupt(3 + (action >> 4 & 1), action & 0x20 != 0),
            14 if action & 0x10 != 0 => {
                let taken = pc.interrupts().acknowledge(0);
                assert_eq!(taken.is_some(), pending);
                continue;
            }
            14 => {
                let _ = pc.power_event();
                pc.press_power_button()
            }
            _ => {
                now = Instant(now.0.saturating_add(input.number(4)));
                let effects = pc.advance(now);
                assert!(pc.next_deadline().is_none_or(|due| due > now), "due again at {now}");
                effects
            }
        };
        check_effects(&mut pc, effects, deadline, pending);
    }
}

/// Checks what must hold after an action that had these effects, before which `deadline` and `pending` were so.
fn check_effects(pc: &mut Pc, effects: Effects, deadline: Option<Instant>, pending: bool) {
    let raised = pc.interrupts().pending(0) && !pending;
    assert!(
        !raised || effects.contains(Effects::IRQ_CHANGED),
        "an interrupt became pending without an effect"
    );
    let moved = pc.next_deadline() < deadline && pc.next_deadline().is_some();
    assert!(
        !moved || effects.contains(Effects::TIMER_CHANGED),
        "the deadline moved closer without an effect"
    );
}

fn port(pc: &mut Pc, action: u8, input: &mut Input, now: Instant) -> Effects {
    let choice = input.u8();
    let port = match choice >> 4 {
        15 => input.u16(),
        index => PORTS[usize::from(index) % PORTS.len()].wrapping_add(u16::from(choice & 15)),
    };
    let width = WIDTHS[usize::from(action >> 4) % 3];
    if action & 0x80 == 0 {
        let value = input.number(width.bytes()) as u32;
        pc.port_write(port, width, value, now)
    } else {
        let (value, effects) = pc.port_read(port, width, now);
        assert_eq!(u64::from(value) & !width.mask(), 0);
        effects
    }
}

/// An address in a page of registers.
fn page(input: &mut Input) -> u64 {
    let choice = input.u16();
    PAGES[usize::from(choice >> 14)] + u64::from(choice & 0xfff)
}
