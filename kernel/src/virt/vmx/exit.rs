//! From the raw exit fields to an [`Exit`]: a pure function.

use super::fields::Interruptibility;
use crate::virt::exit::{
    ControlOperation, Exit, GENERAL_PROTECTION, InjectedEvent, MemoryAccess, PRIVILEGED_SOFTWARE, PortAccess,
    StringOperand,
};
use base::bits::{low_u8, low_u16};
use base::{GuestPhysical, Width};

/// The fields of an exit as read from the VMCS.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawExit {
    /// Exit reason [SDM3C 25.9.1].
    pub reason: u32,
    /// Exit qualification [SDM3C 28.2.1].
    pub qualification: u64,
    /// Guest-physical address, for EPT violations and misconfigurations.
    pub physical: u64,
    /// Instruction length.
    pub length: u8,
    /// VM-exit interruption information [SDM3C 25.9.2].
    pub interruption: u32,
    /// Error code that belongs to the interruption information.
    pub error: u32,
    /// Guest-linear address, for INS and OUTS.
    pub linear: u64,
    /// VM-exit instruction information, for INS and OUTS.
    pub instruction: u32,
}

/// Exit reason: the entry has failed [SDM3C 25.9.1].
pub const ENTRY_FAILURE: u32 = 1 << 31;
/// Interruption information: the other bits mean something [SDM3C 25.8.3, 25.9.2, 25.9.3].
pub const VALID: u32 = 1 << 31;
/// Basic exit reason [SDM3D C].
const MACHINE_CHECK_AT_ENTRY: u32 = 41;
const ERROR_CODE_VALID: u32 = 1 << 11;
const EPT_VIOLATION: u32 = 48;
const BUS_LOCK: u32 = 74;
/// Exit qualification of an EPT violation: NMI unblocking due to IRET.
const NMI_UNBLOCKED: u64 = 1 << 12;
/// Pending debug exceptions: single step [SDM3C 25.4.2].
pub const PENDING_BS: u64 = 1 << 14;

/// True if the guest has locked the bus: bit 26 says so of an exit for another reason, such as a single step behind the
/// instruction [SDM3C 25.9.1].
pub fn locked_bus(reason: u32) -> bool {
    reason & 0xffff == BUS_LOCK || reason & 1 << 26 != 0
}

/// The exit that the fields describe. The reasons are those of [SDM3D C].
pub fn parse(raw: &RawExit) -> Exit {
    let basic = raw.reason & 0xffff;
    // A machine check during an entry is no fault of the guest's state.
    if raw.reason & ENTRY_FAILURE != 0 && basic != MACHINE_CHECK_AT_ENTRY {
        return Exit::InvalidState { reason: basic };
    }
    let length = raw.length;
    match basic {
        0 => exception(raw),
        // INIT has not reached the core, and concerns the machine as SMIs do, of which only the dual-monitor treatment
        // tells [SDM3C 26.2].
        1 | 3 | 5 | 6 => Exit::HostInterrupt,
        2 => Exit::TripleFault,
        7 => Exit::InterruptWindow,
        8 => Exit::NmiWindow,
        10 => Exit::Cpuid(length),
        12 => Exit::Halt(length),
        13 | 54 => Exit::CacheFlush(length),
        28 => control(raw),
        30 => port(raw),
        31 => Exit::ReadMsr(length),
        32 => Exit::WriteMsr(length),
        40 => Exit::Pause(length),
        MACHINE_CHECK_AT_ENTRY => Exit::MachineCheck,
        9 => Exit::TaskSwitch,
        // RDPMC exists on every 64-bit processor; of a counter that does not exist it is #GP [SDM2B RDPMC].
        15 => Exit::Exception(GENERAL_PROTECTION),
        // GETSEC, RSM outside SMM, the VMX instructions, MWAIT, MONITOR, RDTSCP, INVPCID, VMFUNC, ENCLS, XSAVES, XRSTORS,
        // PCONFIG, UMWAIT, TPAUSE, LOADIWKEY, ENCLV, ENQCMD, ENQCMDS, SEAMCALL, TDCALL, RDMSRLIST, WRMSRLIST, URDMSR and
        // UWRMSR: not offered where they exit. Some exit whatever the controls are [SDM3C 26.1.2].
        11 | 17..=27 | 36 | 39 | 50 | 51 | 53 | 58..=60 | 63..=65 | 67..=70 | 72 | 73 | 76..=81 => {
            Exit::NotOffered
        }
        48 => violation(raw),
        52 => Exit::Timer,
        55 => Exit::SetXcr(length),
        BUS_LOCK => Exit::BusLock,
        // No control of Weir's makes the others exit: SIPI, INVLPG, RDTSC, MOV DR, monitor trap flag, the virtual APIC,
        // descriptor tables, RDRAND, RDSEED, page-modification log, sub-page permissions, instruction timeout. An
        // EPT misconfiguration (49) would be an error of Weir's.
        _ => Exit::Unexpected { reason: basic, qualification: raw.qualification },
    }
}

/// Bits 10:8 of interruption information [SDM3C 25.9.2].
pub fn interruption_type(information: u32) -> u8 {
    low_u8((information >> 8 & 7).into())
}

/// Exceptions and NMIs; an NMI was recorded when the fields were read.
fn exception(raw: &RawExit) -> Exit {
    match (interruption_type(raw.interruption), low_u8(raw.interruption.into())) {
        (2, _) => Exit::HostInterrupt,
        (_, 18) => Exit::MachineCheck,
        // The instruction pointer is that of the instruction, and delivery adds its length [SDM3C 28.3.3, 27.6.1.1].
        (PRIVILEGED_SOFTWARE, vector) => {
            Exit::Exception(InjectedEvent::Software { vector, kind: PRIVILEGED_SOFTWARE, length: raw.length })
        }
        (_, vector) => Exit::Exception(InjectedEvent::Exception {
            vector,
            error: (raw.interruption & ERROR_CODE_VALID != 0).then_some(raw.error),
        }),
    }
}

/// [SDM3C 28.2.1, table 28-3].
fn control(raw: &RawExit) -> Exit {
    let register = low_u8(raw.qualification & 0xf);
    let general = low_u8(raw.qualification >> 8 & 0xf);
    let operation = match raw.qualification >> 4 & 3 {
        0 => ControlOperation::Write(general),
        1 => ControlOperation::Read(general),
        2 => ControlOperation::ClearTaskSwitched,
        _ => ControlOperation::LoadMachineStatus(low_u16(raw.qualification >> 16)),
    };
    Exit::Control { register, operation, length: raw.length }
}

/// [SDM3C 28.2.1, table 28-5].
fn port(raw: &RawExit) -> Exit {
    let width = match raw.qualification & 7 {
        0 => Width::Byte,
        1 => Width::Word,
        _ => Width::Dword,
    };
    let bit = |n: u32| raw.qualification >> n & 1 == 1;
    // Bits 9:7 of the instruction information [SDM3C table 28-8].
    let address = match raw.instruction >> 7 & 7 {
        0 => Width::Word,
        1 => Width::Dword,
        _ => Width::Qword,
    };
    let string = bit(4).then_some(StringOperand { linear: Some(raw.linear), address, repeated: bit(5) });
    let access = PortAccess { port: low_u16(raw.qualification >> 16), width, input: bit(3), string };
    Exit::Port { access, length: raw.length }
}

/// [SDM3C 28.2.1, table 28-7].
fn violation(raw: &RawExit) -> Exit {
    let bit = |n: u32| raw.qualification >> n & 1 == 1;
    let access = match (bit(0), bit(1), bit(2)) {
        (_, true, _) => MemoryAccess::Write,
        (_, _, true) => MemoryAccess::Fetch,
        _ => MemoryAccess::Read,
    };
    // Bit 7: the access was for a linear address; bit 8: it was to the final address, not to a page table.
    Exit::Memory { at: GuestPhysical(raw.physical), access, operand: !bit(7) || bit(8) }
}

/// The event whose delivery the exit interrupted and that must be delivered again [SDM3C 28.2.4].
pub fn interrupted_event(information: u32, error: u32, length: u8) -> Option<InjectedEvent> {
    if information & VALID == 0 {
        return None;
    }
    let vector = low_u8(information.into());
    Some(match interruption_type(information) {
        0 => InjectedEvent::Interrupt(vector),
        2 => InjectedEvent::Nmi,
        3 => {
            InjectedEvent::Exception { vector, error: (information & ERROR_CODE_VALID != 0).then_some(error) }
        }
        kind => InjectedEvent::Software { vector, kind, length },
    })
}

/// True when the exit is a fault of an IRET that had ended NMI blocking and will be executed again: NMIs are blocked until
/// then [SDM3C 28.2.3]. Without a valid bit the rest of the vectoring information means nothing [SDM3C 25.9.3].
pub fn iret_ended_blocking(raw: &RawExit, vectoring: u32) -> bool {
    vectoring & VALID == 0 && raw.reason & 0xffff == EPT_VIOLATION && raw.qualification & NMI_UNBLOCKED != 0
}

/// The pending debug exceptions to enter with when #DB is injected. In the shadow of STI or MOV SS, BS must be set if the
/// guest single-steps, but an exit by #DB has not saved it; the guest sees the #DB alone
/// [SDM3C 27.3.1.5, 27.7.3, 28.3.4]. Guests have no IA32_DEBUGCTL.BTF.
pub fn pending_debug(pending: u64, single_step: bool, state: Interruptibility) -> u64 {
    if single_step && state.intersects(Interruptibility::SHADOW) { pending | PENDING_BS } else { pending }
}

/// VM-entry interruption information, error code and instruction length [SDM3C 25.8.3]. In real mode no exception has an
/// error code, and an entry that would deliver one fails [SDM3C 27.2.1.3].
pub fn injection(event: InjectedEvent, protected: bool) -> (u32, u32, u8) {
    match event {
        InjectedEvent::Interrupt(vector) => (VALID | u32::from(vector), 0, 0),
        InjectedEvent::Nmi => (VALID | 2 << 8 | 2, 0, 0),
        InjectedEvent::Exception { vector, error } => {
            let error = error.filter(|_| protected);
            let code = if error.is_some() { ERROR_CODE_VALID } else { 0 };
            (VALID | 3 << 8 | code | u32::from(vector), error.unwrap_or(0), 0)
        }
        InjectedEvent::Software { vector, kind, length } => {
            (VALID | u32::from(kind) << 8 | u32::from(vector), 0, length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_access_is_decoded() {
        let raw = RawExit {
            reason: 30,
            qualification: 0x03f8 << 16 | 1 << 5 | 1 << 4 | 1 << 3,
            length: 2,
            linear: 0x1234,
            instruction: 1 << 7,
            ..RawExit::default()
        };
        let string = Some(StringOperand { linear: Some(0x1234), address: Width::Dword, repeated: true });
        let access = PortAccess { port: 0x3f8, width: Width::Byte, input: true, string };
        assert_eq!(parse(&raw), Exit::Port { access, length: 2 });
    }

    #[test]
    fn violations_by_page_walks_and_by_operands_are_distinguished() {
        let raw =
            RawExit { reason: 48, qualification: 1 | 1 << 7, physical: 0xfee0_0000, ..RawExit::default() };
        let at = GuestPhysical(0xfee0_0000);
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Read, operand: false });
        let raw = RawExit { qualification: 2 | 1 << 7 | 1 << 8, ..raw };
        assert_eq!(parse(&raw), Exit::Memory { at, access: MemoryAccess::Write, operand: true });
    }

    #[test]
    fn a_failed_entry_is_never_mistaken_for_an_exit() {
        let raw = RawExit { reason: 1 << 31 | 33, ..RawExit::default() };
        assert_eq!(parse(&raw), Exit::InvalidState { reason: 33 });
        assert_eq!(parse(&RawExit { reason: 1 << 31 | 41, ..raw }), Exit::MachineCheck);
    }

    #[test]
    fn instructions_that_a_guest_is_not_offered_raise_what_they_raise_without_them() {
        let exit = |reason| parse(&RawExit { reason, ..RawExit::default() });
        // VMCALL, MONITOR, VMFUNC, ENCLS, SEAMCALL, TDCALL.
        for reason in [18, 39, 59, 60, 76, 77] {
            assert_eq!(exit(reason), Exit::NotOffered, "{reason}");
        }
        assert_eq!(exit(15), Exit::Exception(GENERAL_PROTECTION), "RDPMC");
        assert_eq!((exit(9), exit(3)), (Exit::TaskSwitch, Exit::HostInterrupt));
    }

    #[test]
    fn int1_is_delivered_behind_the_instruction_and_a_single_step_where_it_is() {
        let interruption = VALID | 5 << 8 | 1;
        let exit = |raw| match parse(&raw) {
            Exit::Exception(event) => event,
            other => panic!("{other:?}"),
        };
        let int1 = exit(RawExit { interruption, length: 1, ..RawExit::default() });
        assert_eq!(injection(int1, true), (interruption, 0, 1));
        let step = exit(RawExit { interruption: VALID | 3 << 8 | 1, length: 7, ..RawExit::default() });
        assert_eq!(injection(step, true), (VALID | 3 << 8 | 1, 0, 0));
        assert!(int1.is_debug_exception() && step.is_debug_exception());
    }

    #[test]
    fn a_single_step_is_pending_where_the_entry_demands_it() {
        let none = Interruptibility::empty();
        for shadow in [Interruptibility::BLOCKING_BY_STI, Interruptibility::BLOCKING_BY_MOV_SS] {
            assert_eq!(pending_debug(1, true, shadow), PENDING_BS | 1);
            assert_eq!(pending_debug(0, false, shadow), 0);
        }
        assert_eq!(pending_debug(0, true, none | Interruptibility::BLOCKING_BY_NMI), 0);
    }

    #[test]
    fn real_mode_has_no_error_codes() {
        let fault = InjectedEvent::Exception { vector: 13, error: Some(7) };
        assert_eq!(injection(fault, false), (VALID | 3 << 8 | 13, 0, 0));
        assert_eq!(injection(fault, true), (VALID | 3 << 8 | ERROR_CODE_VALID | 13, 7, 0));
    }

    #[test]
    fn vectoring_information_without_its_valid_bit_says_nothing() {
        let violation = RawExit { reason: EPT_VIOLATION, qualification: NMI_UNBLOCKED, ..RawExit::default() };
        for stale in [0, 0x20e, 0x7fff_ffff] {
            assert!(iret_ended_blocking(&violation, stale), "{stale:#x}");
            assert_eq!(interrupted_event(stale, 0, 0), None);
        }
        assert!(!iret_ended_blocking(&violation, VALID | 0x20e), "the violation was during a delivery");
        assert!(!iret_ended_blocking(&RawExit { qualification: 0, ..violation }, 0));
    }

    #[test]
    fn a_bus_lock_is_seen_whatever_the_exit_is_for() {
        assert_eq!(parse(&RawExit { reason: 74, ..RawExit::default() }), Exit::BusLock);
        let raw = RawExit { reason: 1 << 26 | 52, ..RawExit::default() };
        assert_eq!(parse(&raw), Exit::Timer);
        for (reason, locked) in [(74, true), (1 << 26 | 52, true), (1 << 26, true), (52, false), (0, false)] {
            assert_eq!(locked_bus(reason), locked, "{reason:#x}");
        }
    }

    #[test]
    fn every_reason_has_an_exit() {
        for reason in 0..0x1_0000 {
            let _ = parse(&RawExit { reason, qualification: u64::MAX, ..RawExit::default() });
        }
    }

    #[test]
    fn an_interrupted_event_is_injected_as_it_was() {
        for event in [
            InjectedEvent::Interrupt(0x41),
            InjectedEvent::Nmi,
            InjectedEvent::Exception { vector: 14, error: Some(2) },
            InjectedEvent::Exception { vector: 6, error: None },
            InjectedEvent::Software { vector: 0x80, kind: 4, length: 2 },
        ] {
            let (information, error, length) = injection(event, true);
            assert_eq!(interrupted_event(information, error, length), Some(event));
        }
    }
}
