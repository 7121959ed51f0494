//! From the raw exit fields to an [`Exit`]: a pure function.

use crate::virt::exit::{
    ControlOperation, Exit, GENERAL_PROTECTION, InjectedEvent, MemoryAccess, PortAccess, StringOperand,
};
use base::bits::{low_u8, low_u16, low_u32};
use base::{GuestPhysical, Width};

/// The fields of an exit as read from the VMCB.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawExit {
    /// EXITCODE [APM2 C].
    pub code: u64,
    /// EXITINFO1.
    pub info_1: u64,
    /// EXITINFO2.
    pub info_2: u64,
    /// The guest's instruction pointer.
    pub rip: u64,
    /// Address of the next instruction; zero when the processor does not provide it.
    pub next_rip: u64,
    /// The processor has decode assists: EXITINFO1 contains the operands of control-register accesses.
    pub decode_assists: bool,
}

const INTERCEPTED_BY_INFO: u64 = 1 << 63;

/// The exit that the fields describe. The codes are those of [APM2 C].
pub fn parse(raw: &RawExit) -> Exit {
    let length = if raw.next_rip == 0 { 0 } else { instruction_length(raw.rip, raw.next_rip) };
    match raw.code {
        0x00..=0x1f => control(raw, length),
        0x52 => Exit::MachineCheck,
        code @ 0x40..=0x5f => exception(low_u8(code - 0x40), raw.info_1),
        // INTR and NMI are taken when the global interrupt flag is set. INIT and SMI concern the machine as well.
        0x60..=0x63 => Exit::HostInterrupt,
        0x64 => Exit::InterruptWindow,
        0x65 => {
            Exit::Control { register: 0, operation: control_operation(raw, ControlOperation::Write), length }
        }
        0x72 => Exit::Cpuid(length),
        0x74 => Exit::NmiWindow,
        0x76 | 0x89 => Exit::CacheFlush(length),
        0x77 => Exit::Pause(length),
        0x78 => Exit::Halt(length),
        0x7b => port(raw),
        0x7c if raw.info_1 & 1 == 0 => Exit::ReadMsr(length),
        0x7c => Exit::WriteMsr(length),
        0x7f => Exit::TripleFault,
        // RDPMC exists on every 64-bit processor; of a counter that does not exist it is #GP [APM3 RDPMC].
        0x6f => Exit::Exception(GENERAL_PROTECTION),
        0x7d => Exit::TaskSwitch,
        // RSM outside SMM, INVLPGA, the SVM instructions, RDTSCP, MONITOR, MWAIT, RDPRU, INVLPGB, INVPCID, MCOMMIT and
        // TLBSYNC: not offered where they exit.
        0x73 | 0x7a | 0x80..=0x87 | 0x8a..=0x8c | 0x8e | 0xa0..=0xa4 => Exit::NotOffered,
        0x8d => Exit::SetXcr(length),
        0x400 => nested_page_fault(raw),
        // VMEXIT_INVALID is -1 in 64 or, on older processors, 32 bits.
        u64::MAX | 0xffff_ffff => Exit::InvalidState { reason: u32::MAX },
        // No intercept of Weir's makes the others exit: debug registers, descriptor tables, RDTSC, PUSHF, POPF, INT n,
        // INVLPG, FERR, ICEBP, the traps of writes to control registers and EFER, bus locks, AVIC, VMGEXIT.
        code => Exit::Unexpected { reason: low_u32(code), qualification: raw.info_1 },
    }
}

/// No instruction is longer than 15 bytes; any other difference means that the processor did not provide the
/// address.
fn instruction_length(rip: u64, next: u64) -> u8 {
    let length = next.wrapping_sub(rip);
    if length <= 15 { low_u8(length) } else { 0 }
}

/// The error code, where the vector has one, is in EXITINFO1 [APM2 15.12].
fn exception(vector: u8, info_1: u64) -> Exit {
    let has_error = matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30);
    Exit::Exception(InjectedEvent::Exception { vector, error: has_error.then_some(low_u32(info_1)) })
}

/// [APM2 15.8.1].
fn control(raw: &RawExit, length: u8) -> Exit {
    let register = low_u8(raw.code & 0xf);
    let make = if raw.code < 0x10 { ControlOperation::Read } else { ControlOperation::Write };
    Exit::Control { register, operation: control_operation(raw, make), length }
}

/// With decode assists, bit 63 is set for a MOV, and bits 3:0 are the general-purpose register; CLTS, LMSW and
/// SMSW must be decoded.
fn control_operation(raw: &RawExit, make: fn(u8) -> ControlOperation) -> ControlOperation {
    if raw.decode_assists && raw.info_1 & INTERCEPTED_BY_INFO != 0 {
        make(low_u8(raw.info_1 & 0xf))
    } else {
        ControlOperation::Undecoded
    }
}

/// [APM2 15.10.2, figure 15-2]. EXITINFO2 is the address of the next instruction, on every processor.
fn port(raw: &RawExit) -> Exit {
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
    let access = PortAccess { port: low_u16(raw.info_1 >> 16), width, input: bit(0), string };
    Exit::Port { access, length: instruction_length(raw.rip, raw.info_2) }
}

/// [APM2 15.25.6]: EXITINFO1 is the error code of the fault; bit 32 is set for an access to the final address,
/// bit 33 for an access to the guest's page tables.
fn nested_page_fault(raw: &RawExit) -> Exit {
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

/// The event whose delivery the exit interrupted and that must be delivered again [APM2 15.7.2]. INT n, INT3
/// and INTO are not delivered again: the guest's instruction pointer still points at them, so the guest
/// executes them again.
pub fn interrupted_event(information: u64) -> Option<InjectedEvent> {
    if information & VALID == 0 {
        return None;
    }
    let vector = low_u8(information);
    match information >> 8 & 7 {
        0 => Some(InjectedEvent::Interrupt(vector)),
        2 => Some(InjectedEvent::Nmi),
        // QEMU's TCG reports external interrupts as exceptions; no exception has such a vector.
        3 if vector >= FIRST_INTERRUPT => Some(InjectedEvent::Interrupt(vector)),
        3 if vector == BREAKPOINT || vector == OVERFLOW => None,
        3 => {
            let has_error = information & ERROR_CODE_VALID != 0;
            Some(InjectedEvent::Exception { vector, error: has_error.then_some(low_u32(information >> 32)) })
        }
        _ => None,
    }
}

/// EVENTINJ [APM2 15.20]. In real mode no exception has an error code.
pub fn injection(event: InjectedEvent, protected: bool) -> u64 {
    match event {
        InjectedEvent::Interrupt(vector) => VALID | u64::from(vector),
        InjectedEvent::Nmi => VALID | 2 << 8 | 2,
        InjectedEvent::Exception { vector, error } => {
            let code =
                error.filter(|_| protected).map_or(0, |error| ERROR_CODE_VALID | u64::from(error) << 32);
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
        let raw = RawExit {
            code: 0x7b,
            info_1: 0x03f8 << 16 | 1 << 8 | 1 << 4 | 1 << 3 | 1 << 2 | 1,
            rip: 0x1000,
            info_2: 0x1002,
            ..RawExit::default()
        };
        let string = Some(StringOperand { linear: None, address: Width::Dword, repeated: true });
        let access = PortAccess { port: 0x3f8, width: Width::Byte, input: true, string };
        assert_eq!(parse(&raw), Exit::Port { access, length: 2 });
    }

    #[test]
    fn faults_of_page_walks_and_of_operands_are_distinguished() {
        let raw = RawExit { code: 0x400, info_1: 1 << 33 | 0b110, info_2: 0xfee0_0000, ..RawExit::default() };
        let at = GuestPhysical(0xfee0_0000);
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Write, operand: false });
        let raw = RawExit { info_1: 1 << 32 | 0b100, ..raw };
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Read, operand: true });
    }

    #[test]
    fn without_next_rip_the_length_is_unknown() {
        let raw = RawExit { code: 0x72, rip: 0x1000, ..RawExit::default() };
        assert_eq!(parse(&raw), Exit::Cpuid(0));
        assert_eq!(parse(&RawExit { next_rip: 0x1002, ..raw }), Exit::Cpuid(2));
    }

    #[test]
    fn decode_assists_provide_the_register_of_a_move() {
        let raw = RawExit { code: 0x14, info_1: INTERCEPTED_BY_INFO | 3, next_rip: 3, ..RawExit::default() };
        let open = Exit::Control { register: 4, operation: ControlOperation::Undecoded, length: 3 };
        assert_eq!(parse(&raw), open);
        let told = Exit::Control { register: 4, operation: ControlOperation::Write(3), length: 3 };
        assert_eq!(parse(&RawExit { decode_assists: true, ..raw }), told);
    }

    #[test]
    fn a_failed_entry_is_never_mistaken_for_an_exit() {
        for code in [u64::MAX, 0xffff_ffff] {
            let raw = RawExit { code, ..RawExit::default() };
            assert!(matches!(parse(&raw), Exit::InvalidState { .. }));
        }
    }

    #[test]
    fn every_code_has_an_exit() {
        for code in 0..0x1_0000 {
            let _ = parse(&RawExit { code, info_1: u64::MAX, next_rip: u64::MAX, ..RawExit::default() });
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
            assert_eq!(interrupted_event(injection(event, true)), Some(event));
        }
    }

    #[test]
    fn real_mode_has_no_error_codes() {
        let fault = InjectedEvent::Exception { vector: 13, error: Some(7) };
        assert_eq!(injection(fault, false), VALID | 3 << 8 | 13);
        assert_eq!(injection(fault, true), VALID | 3 << 8 | ERROR_CODE_VALID | 13 | 7 << 32);
    }

    #[test]
    fn instructions_that_a_guest_is_not_offered_raise_what_they_raise_without_them() {
        let exit = |code| parse(&RawExit { code, ..RawExit::default() });
        // VMRUN, SKINIT, MONITOR, RDPRU, INVLPGB, INVPCID.
        for code in [0x80, 0x86, 0x8a, 0x8e, 0xa0, 0xa2] {
            assert_eq!(exit(code), Exit::NotOffered, "{code:#x}");
        }
        assert_eq!(exit(0x6f), Exit::Exception(GENERAL_PROTECTION), "RDPMC");
        assert_eq!(exit(0x7d), Exit::TaskSwitch);
    }

    #[test]
    fn instructions_that_raise_their_event_are_executed_again() {
        assert_eq!(interrupted_event(VALID | 4 << 8 | 0x80), None);
        assert_eq!(interrupted_event(VALID | 3 << 8 | 3), None);
        assert_eq!(interrupted_event(VALID | 3 << 8 | 0x31), Some(InjectedEvent::Interrupt(0x31)));
    }
}
