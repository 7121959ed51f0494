//! From the raw exit fields to an [`Exit`]: a pure function.

use crate::virt::exit::{ControlOperation, Exit, InjectedEvent, MemoryAccess, PortAccess, StringOperand};
use base::{GuestPhysical, Width};

/// The fields of an exit, as the VMCB has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw {
    /// EXITCODE [APM2 C].
    pub code: u64,
    /// EXITINFO1.
    pub info_1: u64,
    /// EXITINFO2.
    pub info_2: u64,
    /// Instruction pointer of the guest.
    pub rip: u64,
    /// Of the next instruction; zero when the processor does not tell.
    pub next_rip: u64,
    /// The processor has decode assists: EXITINFO1 names the operands of control-register accesses.
    pub decode_assists: bool,
}

const INTERCEPTED_BY_INFO: u64 = 1 << 63;

/// Names the exit. Codes are those of [APM2 C].
pub fn parse(raw: &Raw) -> Exit {
    let length = if raw.next_rip == 0 { 0 } else { instruction_length(raw.rip, raw.next_rip) };
    match raw.code {
        0x00..=0x1f => control(raw, length),
        0x52 => Exit::MachineCheck,
        code @ 0x40..=0x5f => exception((code - 0x40) as u8, raw.info_1),
        // INTR, NMI: taken with the global interrupt flag. INIT and SMI are the machine's as well.
        0x60..=0x63 => Exit::HostInterrupt,
        0x64 => Exit::InterruptWindow,
        0x65 => {
            Exit::Control { register: 0, operation: control_operation(raw, ControlOperation::Write), length }
        }
        0x72 => Exit::Cpuid { length },
        0x74 => Exit::NmiWindow,
        0x76 | 0x89 => Exit::CacheFlush { length },
        0x77 => Exit::Pause { length },
        0x78 => Exit::Halt { length },
        0x7b => port(raw),
        0x7c if raw.info_1 & 1 == 0 => Exit::ReadMsr { length },
        0x7c => Exit::WriteMsr { length },
        0x7f => Exit::TripleFault,
        // RDPMC, INVLPGA, the SVM instructions, RDTSCP, MONITOR, MWAIT and RDPRU: not offered.
        0x6f | 0x7a | 0x80..=0x87 | 0x8a..=0x8c | 0x8e => Exit::NotOffered,
        0x8d => Exit::SetXcr { length },
        0x400 => nested_page_fault(raw),
        // VMEXIT_INVALID is -1 in 64 or, on older processors, 32 bits.
        u64::MAX | 0xffff_ffff => Exit::InvalidState { reason: u32::MAX },
        code => Exit::Unexpected { reason: code as u32, qualification: raw.info_1 },
    }
}

/// No instruction has more than 15 bytes; anything else means that the processor does not tell.
fn instruction_length(rip: u64, next: u64) -> u8 {
    let length = next.wrapping_sub(rip);
    if length <= 15 { length as u8 } else { 0 }
}

/// The processor has put an error code into EXITINFO1 [APM2 15.12].
fn exception(vector: u8, info_1: u64) -> Exit {
    let has_error = matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30);
    Exit::Exception { vector, error: has_error.then_some(info_1 as u32) }
}

/// [APM2 15.8.1].
fn control(raw: &Raw, length: u8) -> Exit {
    let register = raw.code as u8 & 0xf;
    let make = if raw.code < 0x10 { ControlOperation::Read } else { ControlOperation::Write };
    Exit::Control { register, operation: control_operation(raw, make), length }
}

/// With decode assists bit 63 says that it was a MOV, and bits 3:0 of which register; CLTS, LMSW and SMSW are
/// left to be decoded.
fn control_operation(raw: &Raw, make: fn(u8) -> ControlOperation) -> ControlOperation {
    if raw.decode_assists && raw.info_1 & INTERCEPTED_BY_INFO != 0 {
        make(raw.info_1 as u8 & 0xf)
    } else {
        ControlOperation::Undecoded
    }
}

/// [APM2 15.10.2, figure 15-2]. EXITINFO2 is the next instruction's pointer, on every processor.
fn port(raw: &Raw) -> Exit {
    let bit = |n: u32| raw.info_1 >> n & 1 == 1;
    let width = match raw.info_1 >> 4 & 7 {
        1 => Width::Byte,
        2 => Width::Word,
        _ => Width::Dword,
    };
    let address = match raw.info_1 >> 7 & 7 {
        1 => Width::Word,
        2 => Width::Dword,
        _ => Width::Qword,
    };
    let string = bit(2).then_some(StringOperand { linear: None, address, repeated: bit(3) });
    let access = PortAccess { port: (raw.info_1 >> 16) as u16, width, input: bit(0), string };
    Exit::Port { access, length: instruction_length(raw.rip, raw.info_2) }
}

/// [APM2 15.25.6]: the error code of the fault, with bit 32 for an access to the final address and bit 33 for
/// one to the guest's page tables.
fn nested_page_fault(raw: &Raw) -> Exit {
    let bit = |n: u32| raw.info_1 >> n & 1 == 1;
    let access = match (bit(1), bit(4)) {
        (true, _) => MemoryAccess::Write,
        (_, true) => MemoryAccess::Fetch,
        _ => MemoryAccess::Read,
    };
    Exit::Memory { at: GuestPhysical(raw.info_2), access, operand: !bit(33) }
}

const VALID: u64 = 1 << 31;
const ERROR_CODE_VALID: u64 = 1 << 11;
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;
const FIRST_INTERRUPT: u8 = 32;

/// The event whose delivery the exit interrupted, to be delivered again [APM2 15.7.2]. INT n, INT3 and INTO are
/// not: the guest's instruction pointer is still at them, and executes them again.
pub fn interrupted_event(information: u64) -> Option<InjectedEvent> {
    if information & VALID == 0 {
        return None;
    }
    let vector = information as u8;
    match information >> 8 & 7 {
        0 => Some(InjectedEvent::Interrupt(vector)),
        2 => Some(InjectedEvent::Nmi),
        // QEMU's TCG gives external interrupts as exceptions; no exception has such a vector.
        3 if vector >= FIRST_INTERRUPT => Some(InjectedEvent::Interrupt(vector)),
        3 if vector == BREAKPOINT || vector == OVERFLOW => None,
        3 => {
            let has_error = information & ERROR_CODE_VALID != 0;
            Some(InjectedEvent::Exception { vector, error: has_error.then_some((information >> 32) as u32) })
        }
        _ => None,
    }
}

/// EVENTINJ [APM2 15.20].
pub fn injection(event: InjectedEvent) -> u64 {
    match event {
        InjectedEvent::Interrupt(vector) => VALID | u64::from(vector),
        InjectedEvent::Nmi => VALID | 2 << 8 | 2,
        InjectedEvent::Exception { vector, error } => {
            let code = error.map_or(0, |error| ERROR_CODE_VALID | u64::from(error) << 32);
            VALID | 3 << 8 | code | u64::from(vector)
        }
        InjectedEvent::Software { vector, .. } => VALID | 4 << 8 | u64::from(vector),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_access_is_decoded() {
        let raw = Raw {
            code: 0x7b,
            info_1: 0x03f8 << 16 | 1 << 8 | 1 << 4 | 1 << 3 | 1 << 2 | 1,
            rip: 0x1000,
            info_2: 0x1002,
            ..Raw::default()
        };
        let string = Some(StringOperand { linear: None, address: Width::Dword, repeated: true });
        let access = PortAccess { port: 0x3f8, width: Width::Byte, input: true, string };
        assert_eq!(parse(&raw), Exit::Port { access, length: 2 });
    }

    #[test]
    fn a_fault_of_a_page_walk_is_told_from_one_of_an_operand() {
        let raw = Raw { code: 0x400, info_1: 1 << 33 | 0b110, info_2: 0xfee0_0000, ..Raw::default() };
        let at = GuestPhysical(0xfee0_0000);
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Write, operand: false });
        let raw = Raw { info_1: 1 << 32 | 0b100, ..raw };
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Read, operand: true });
    }

    #[test]
    fn without_next_rip_the_length_is_left_open() {
        let raw = Raw { code: 0x72, rip: 0x1000, ..Raw::default() };
        assert_eq!(parse(&raw), Exit::Cpuid { length: 0 });
        assert_eq!(parse(&Raw { next_rip: 0x1002, ..raw }), Exit::Cpuid { length: 2 });
    }

    #[test]
    fn decode_assists_name_the_register_of_a_move() {
        let raw = Raw { code: 0x14, info_1: INTERCEPTED_BY_INFO | 3, next_rip: 3, ..Raw::default() };
        let open = Exit::Control { register: 4, operation: ControlOperation::Undecoded, length: 3 };
        assert_eq!(parse(&raw), open);
        let told = Exit::Control { register: 4, operation: ControlOperation::Write(3), length: 3 };
        assert_eq!(parse(&Raw { decode_assists: true, ..raw }), told);
    }

    #[test]
    fn a_failed_entry_is_never_taken_for_an_exit() {
        for code in [u64::MAX, 0xffff_ffff] {
            let raw = Raw { code, ..Raw::default() };
            assert!(matches!(parse(&raw), Exit::InvalidState { .. }));
        }
    }

    #[test]
    fn every_code_has_an_exit() {
        for code in 0..0x1_0000 {
            let _ = parse(&Raw { code, info_1: u64::MAX, next_rip: u64::MAX, ..Raw::default() });
        }
    }

    #[test]
    fn an_interrupted_event_is_injected_as_it_was() {
        for event in [
            InjectedEvent::Interrupt(0x41),
            InjectedEvent::Nmi,
            InjectedEvent::Exception { vector: 14, error: Some(2) },
            InjectedEvent::Exception { vector: 6, error: None },
        ] {
            assert_eq!(interrupted_event(injection(event)), Some(event));
        }
    }

    #[test]
    fn instructions_that_raise_their_event_are_executed_again() {
        assert_eq!(interrupted_event(VALID | 4 << 8 | 0x80), None);
        assert_eq!(interrupted_event(VALID | 3 << 8 | 3), None);
        assert_eq!(interrupted_event(VALID | 3 << 8 | 0x31), Some(InjectedEvent::Interrupt(0x31)));
    }
}
