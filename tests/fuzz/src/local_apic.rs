//! The local APIC: registers both ways, messages, time, and a processor that takes what is pending.

use crate::Input;
use base::{Effects, Instant};
use platform::local_apic::LocalApic;
use platform::message::{DeliveryMode, InterruptMessage};

/// Registers of the xAPIC page with a function of their own [SDM3A 11.4.1, table 11-1].
const OFFSETS: [u16; 20] = [
    0x020, 0x030, 0x080, 0x0a0, 0x0b0, 0x0d0, 0x0e0, 0x0f0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350,
    0x360, 0x370, 0x380, 0x390, 0x3e0,
];
const IA32_APIC_BASE: u32 = 0x1b;
const IA32_TSC_DEADLINE: u32 = 0x6e0;
const X2APIC: u32 = 0x800;
const TSC_HZ: u64 = 3_000_000_000;

/// Actions on one local APIC.
///
/// # Panics
/// When an interrupt becomes pending or the deadline moves without an effect that says so, a timer that was
/// due is due again at once, or a vector is pending that the priorities forbid.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mut apic = LocalApic::new(0, TSC_HZ, true);
    let mut now = Instant::ZERO;
    if input.u8() & 1 == 0 {
        apic.enter_virtual_wire_mode();
    }
    while !input.is_empty() {
        let (pending, deadline) = (apic.pending(), apic.next_deadline());
        let action = input.u8();
        let effects = match action & 15 {
            0..4 => {
                let (offset, value) = (offset(&mut input), value(&mut input));
                apic.write(offset, value, now).effects
            }
            4 => {
                let _ = apic.read(offset(&mut input), now);
                continue;
            }
            5..8 => {
                let (msr, value) =
                    (msr(&mut input), u64::from(value(&mut input)) | u64::from(action >> 4) << 32);
                apic.write_msr(msr, value, now).map_or(Effects::empty(), |access| access.effects)
            }
            8 => {
                let _ = apic.read_msr(msr(&mut input), now);
                continue;
            }
            9 => apic.accept(input.u8(), action & 0x10 != 0),
            10 => message(&mut input).map_or(Effects::empty(), |message| apic.deliver(&message)),
            11 => apic.set_lint0(action & 0x10 != 0),
            12 | 13 => {
                now = Instant(now.0.saturating_add(input.number(4)));
                let effects = apic.advance(now);
                let due = apic.next_deadline();
                assert!(due.is_none_or(|due| due > now || now == Instant(u64::MAX)), "due again at {now}");
                effects
            }
            14 => {
                take(&mut apic);
                continue;
            }
            _ => apic.set_task_priority(action >> 4),
        };
        let raised = apic.pending().is_some() && apic.pending() != pending;
        assert!(
            !raised || effects.contains(Effects::IRQ_CHANGED),
            "an interrupt became pending without an effect"
        );
        let moved = apic.next_deadline().is_some() && apic.next_deadline() != deadline;
        assert!(!moved || effects.contains(Effects::TIMER_CHANGED), "the deadline moved without an effect");
        if let Some(vector) = apic.pending() {
            assert!(vector >= 16 && vector >> 4 > apic.processor_priority() >> 4);
        }
    }
}

/// The processor takes everything that is pending.
fn take(apic: &mut LocalApic) {
    let (pending, enabled) = (apic.pending(), apic.enabled());
    let vector = apic.begin_service();
    assert!(pending.is_none_or(|pending| pending == vector));
    assert!(!enabled || apic.pending() != pending || pending.is_none());
    if apic.takes_external_interrupts() {
        apic.external_interrupt_taken();
    }
    let _ = (apic.take_nmi(), apic.take_init(), apic.take_start_up());
    assert!(!apic.nmi_pending());
}

fn offset(input: &mut Input) -> u16 {
    match input.u8() {
        index @ 0..0xf0 => OFFSETS[usize::from(index) % OFFSETS.len()],
        _ => input.u16(),
    }
}

fn msr(input: &mut Input) -> u32 {
    match input.u8() {
        0..0x20 => IA32_APIC_BASE,
        0x20..0x40 => IA32_TSC_DEADLINE,
        index @ 0x40..0xf0 => X2APIC + u32::from(OFFSETS[usize::from(index) % OFFSETS.len()] >> 4),
        _ => input.u32(),
    }
}

/// A register value: an address and the mode bits of IA32_APIC_BASE, something small, or anything.
fn value(input: &mut Input) -> u32 {
    match input.u8() {
        shape @ 0..0x40 => 0xfee0_0000 | u32::from(shape) << 8,
        0x40..0x80 => input.u8().into(),
        0x80..0xc0 => u32::from(input.u16()) | 0x6_0000 & u32::from(input.u8()) << 13,
        _ => input.u32(),
    }
}

fn message(input: &mut Input) -> Option<InterruptMessage> {
    let shape = input.u32();
    Some(InterruptMessage {
        destination: if shape & 1 == 0 { 0 } else { InterruptMessage::BROADCAST },
        logical: shape & 2 != 0,
        mode: DeliveryMode::from_register(shape)?,
        vector: (shape >> 16) as u8,
        level: shape & 4 != 0,
    })
}
