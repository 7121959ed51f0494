//! Machine checks: what the banks say, and whether a guest or Weir can go on [SDM3B 16.3, 16.9] [APM2 9.3].

use crate::ProcessorAccess;
use base::bits::low_u8;
use bitflags::bitflags;
use core::fmt;

/// IA32_MCG_CAP: the number of banks, and whether they tell consumed data from data that nobody has used.
pub const IA32_MCG_CAP: u32 = 0x179;
/// IA32_MCG_STATUS.
pub const IA32_MCG_STATUS: u32 = 0x17a;
/// IA32_MC0_STATUS, IA32_MC0_ADDR and IA32_MC0_MISC; each further bank has its own four registers behind them.
const MC0_STATUS: u32 = 0x401;
const MC0_ADDR: u32 = 0x402;
const MC0_MISC: u32 = 0x403;
const REGISTERS: u32 = 4;
/// Most banks that are looked at: what AMD's and Intel's legacy registers reach.
const MOST_BANKS: u8 = 32;
/// IA32_MCG_CAP: S and AR exist in the banks.
const SER_P: u64 = 1 << 24;

bitflags! {
    /// IA32_MCG_STATUS.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GlobalStatus: u64 {
        /// The interrupted program can go on.
        const RIPV = 1 << 0;
        /// The interrupted instruction is involved.
        const EIPV = 1 << 1;
        /// A machine check is being handled: another one shuts the processor down.
        const MCIP = 1 << 2;
    }

    /// IA32_MCi_STATUS.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct BankStatus: u64 {
        /// An error is recorded here.
        const VAL = 1 << 63;
        /// Another one was lost.
        const OVER = 1 << 62;
        /// The processor has not corrected it.
        const UC = 1 << 61;
        /// It may cause a machine check.
        const EN = 1 << 60;
        /// IA32_MCi_MISC holds more.
        const MISCV = 1 << 59;
        /// IA32_MCi_ADDR holds where.
        const ADDRV = 1 << 58;
        /// The state of the processor may be wrong.
        const PCC = 1 << 57;
        /// It was signalled by a machine check.
        const S = 1 << 56;
        /// The interrupted program has used wrong data.
        const AR = 1 << 55;
        const _ = !0;
    }
}

/// An error in a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankError {
    /// The bank's number.
    pub bank: u8,
    /// Its status.
    pub status: BankStatus,
    /// Where, if it says.
    pub address: Option<u64>,
    /// More, if there is.
    pub misc: Option<u64>,
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.status.contains(BankStatus::UC) { "uncorrected" } else { "corrected" };
        write!(f, "bank {} status {:#018x}, {kind}", self.bank, self.status.bits())?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#x}")?;
        }
        match self.misc {
            Some(misc) => write!(f, ", misc {misc:#x}"),
            None => Ok(()),
        }
    }
}

/// Who can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// Everybody: nothing wrong was used here. Intel's processors tell all of an error of one.
    GoOn,
    /// Everybody but the program that was interrupted, which has used wrong data.
    StopProgram,
    /// Nobody: what Weir itself relies on may be wrong.
    StopMachine,
}

/// Who was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// A guest.
    Guest,
    /// Weir's own code, at work or asleep.
    Weir,
    /// A thread that only sleeps. The running thread of its core sees the same banks, and is to find them as they are.
    Parked,
}

/// What the banks of a processor say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineCheck {
    /// The global status.
    pub global: GlobalStatus,
    /// The errors; those for which there is no room count in the verdict.
    pub errors: heapless::Vec<BankError, 8>,
    /// Who can go on.
    pub verdict: Consequence,
}

impl MachineCheck {
    /// Reads the banks, and clears them unless others are to read them. The next machine check no longer shuts the
    /// processor down.
    #[must_use]
    pub fn take(processor: &impl ProcessorAccess, interrupted: Interrupted) -> Self {
        let capabilities = processor.rdmsr(IA32_MCG_CAP);
        let global = GlobalStatus::from_bits_retain(processor.rdmsr(IA32_MCG_STATUS));
        let mut worst = Finding::Nothing;
        let mut errors = heapless::Vec::new();
        for bank in 0..low_u8(capabilities).min(MOST_BANKS) {
            let register = |first: u32| first + REGISTERS * u32::from(bank);
            let status = BankStatus::from_bits_retain(processor.rdmsr(register(MC0_STATUS)));
            if !status.contains(BankStatus::VAL) {
                continue;
            }
            let read = |bit, first| status.contains(bit).then(|| processor.rdmsr(register(first)));
            let (address, misc) = (read(BankStatus::ADDRV, MC0_ADDR), read(BankStatus::MISCV, MC0_MISC));
            let _ = errors.push(BankError { bank, status, address, misc });
            worst = worst.max(Finding::of(status, capabilities & SER_P != 0));
            if interrupted != Interrupted::Parked {
                processor.wrmsr(register(MC0_STATUS), 0);
            }
        }
        processor.wrmsr(IA32_MCG_STATUS, 0);
        Self { global, errors, verdict: judge(global, worst, interrupted) }
    }
}

impl fmt::Display for MachineCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine check, global status {:#x}", self.global.bits())?;
        if self.errors.is_empty() {
            f.write_str(": no error in the banks of this core")?;
        }
        self.errors.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

/// What one bank means for a processor that has nothing else to go by, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    /// Nothing: no error, or one that concerns only a processor that RIPV or EIPV names.
    Nothing,
    /// Wrong data, which whoever was interrupted may have used: the bank does not tell.
    Untold,
    /// An error was lost.
    Lost,
    /// The processor's state may be wrong.
    Doubt,
}

impl Finding {
    /// The class of an error, and what follows from it [SDM3B 16.6.3, 16.9.3.1] [APM2 9.3.2].
    fn of(status: BankStatus, tells_use: bool) -> Self {
        let used = status.contains(BankStatus::S | BankStatus::AR) || !tells_use;
        if !status.contains(BankStatus::UC | BankStatus::EN) {
            Self::Nothing
        } else if status.contains(BankStatus::PCC) {
            Self::Doubt
        } else if used && status.contains(BankStatus::OVER) {
            Self::Lost
        } else if tells_use {
            // Wrong data that nobody has used yet, or that the processor has used which its own status names.
            Self::Nothing
        } else {
            Self::Untold
        }
    }
}

/// Who can go on. A processor that has used wrong data finds RIPV clear or EIPV set: a load, RIPV 0 and EIPV 1, or both
/// set where it can be repeated; an instruction fetch, both clear. Those that are only told have RIPV set and EIPV
/// clear, whatever is in the banks that they share with it [SDM3B 16.9.3.2]. They may be the first to clear them, so
/// that what a processor says of itself counts even where no bank has an error.
fn judge(global: GlobalStatus, worst: Finding, interrupted: Interrupted) -> Consequence {
    let told = global & (GlobalStatus::RIPV | GlobalStatus::EIPV) == GlobalStatus::RIPV;
    match (worst, interrupted) {
        (Finding::Doubt, _) => Consequence::StopMachine,
        (Finding::Nothing, _) | (_, Interrupted::Parked) if told => Consequence::GoOn,
        (Finding::Lost, _) => Consequence::StopMachine,
        (_, Interrupted::Guest) => Consequence::StopProgram,
        _ => Consequence::StopMachine,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::RefCell;
    use std::collections::BTreeMap;
    use std::string::ToString;

    struct Banks(RefCell<BTreeMap<u32, u64>>);

    impl ProcessorAccess for Banks {
        fn cpuid(&self, _: u32, _: u32) -> [u32; 4] {
            [0; 4]
        }

        fn rdmsr(&self, msr: u32) -> u64 {
            *self.0.borrow().get(&msr).expect("a register that exists")
        }

        fn wrmsr(&self, msr: u32, value: u64) {
            self.0.borrow_mut().insert(msr, value);
        }
    }

    const ERROR: BankStatus = BankStatus::VAL.union(BankStatus::UC).union(BankStatus::EN);
    const USED: BankStatus = ERROR.union(BankStatus::S).union(BankStatus::AR);

    fn banks(capabilities: u64, global: u64, statuses: &[BankStatus]) -> Banks {
        let mut registers = BTreeMap::from([(IA32_MCG_CAP, capabilities), (IA32_MCG_STATUS, global)]);
        for (bank, status) in (0u32..).zip(statuses) {
            registers.insert(0x401 + 4 * bank, status.bits());
            if status.contains(BankStatus::ADDRV) {
                registers.insert(0x402 + 4 * bank, 0x1234_5000);
            }
        }
        Banks(RefCell::new(registers))
    }

    const EVERYBODY: [Interrupted; 3] = [Interrupted::Guest, Interrupted::Weir, Interrupted::Parked];
    /// IA32_MCG_STATUS of a processor that is only told, and of those that have used wrong data: by a load, by one that
    /// can be repeated, by fetching an instruction.
    const TOLD: u64 = 0b101;
    const LOAD: u64 = 0b110;
    const REPEATABLE: u64 = 0b111;
    const FETCH: u64 = 0b100;

    fn verdict(capabilities: u64, global: u64, status: BankStatus, interrupted: Interrupted) -> Consequence {
        MachineCheck::take(&banks(capabilities | 1, global, &[status]), interrupted).verdict
    }

    #[test]
    fn an_error_of_another_core_lets_everybody_go_on() {
        for interrupted in EVERYBODY {
            let verdict = |capabilities, status| verdict(capabilities, TOLD, status, interrupted);
            assert_eq!(verdict(0, BankStatus::empty()), Consequence::GoOn);
            assert_eq!(verdict(0, BankStatus::VAL | BankStatus::EN), Consequence::GoOn, "corrected");
            assert_eq!(verdict(SER_P, ERROR | BankStatus::S), Consequence::GoOn, "nobody has used the data");
            assert_eq!(verdict(SER_P, USED), Consequence::GoOn, "another processor has");
            let lost = ERROR | BankStatus::S | BankStatus::OVER;
            assert_eq!(verdict(SER_P, lost), Consequence::GoOn, "what was lost was no worse");
        }
    }

    #[test]
    fn wrong_data_that_was_used_stops_whoever_used_it() {
        // Another processor that shares the banks may have cleared them.
        for status in [USED, BankStatus::empty()] {
            for global in [LOAD, REPEATABLE, FETCH] {
                let verdict = |interrupted| verdict(SER_P, global, status, interrupted);
                assert_eq!(verdict(Interrupted::Guest), Consequence::StopProgram, "{global:#b}");
                assert_eq!(verdict(Interrupted::Weir), Consequence::StopMachine, "{global:#b}");
                assert_eq!(verdict(Interrupted::Parked), Consequence::StopMachine, "{global:#b}");
            }
        }
    }

    #[test]
    fn a_bank_that_does_not_tell_stops_whoever_was_interrupted_but_not_who_sleeps() {
        assert_eq!(verdict(0, TOLD, ERROR, Interrupted::Guest), Consequence::StopProgram);
        assert_eq!(verdict(0, TOLD, ERROR, Interrupted::Weir), Consequence::StopMachine);
        assert_eq!(verdict(0, TOLD, ERROR, Interrupted::Parked), Consequence::GoOn);
        assert_eq!(verdict(0, FETCH, ERROR, Interrupted::Guest), Consequence::StopProgram);
    }

    #[test]
    fn a_processor_in_doubt_stops_the_machine() {
        for interrupted in EVERYBODY {
            for global in [TOLD, LOAD, REPEATABLE, FETCH] {
                let verdict = |capabilities, status| verdict(capabilities, global, status, interrupted);
                assert_eq!(verdict(SER_P, USED | BankStatus::PCC), Consequence::StopMachine);
                // It leaves what it finds, so that the next error may come on top.
                let found = global == TOLD && interrupted == Interrupted::Parked;
                let lost = if found { Consequence::GoOn } else { Consequence::StopMachine };
                assert_eq!(verdict(SER_P, USED | BankStatus::OVER), lost);
                assert_eq!(verdict(0, ERROR | BankStatus::OVER), lost);
            }
        }
        assert_eq!(
            verdict(0, FETCH, BankStatus::empty(), Interrupted::Weir),
            Consequence::StopMachine,
            "RIPV is 0"
        );
    }

    #[test]
    fn a_thread_that_sleeps_leaves_the_banks_to_those_that_run() {
        let banks = banks(2, TOLD, &[BankStatus::empty(), USED]);
        assert_eq!(MachineCheck::take(&banks, Interrupted::Parked).errors.len(), 1);
        assert_eq!((banks.rdmsr(0x405), banks.rdmsr(IA32_MCG_STATUS)), (USED.bits(), 0));
    }

    #[test]
    fn the_banks_are_reported_and_cleared() {
        let banks = banks(2, 5, &[BankStatus::empty(), USED | BankStatus::ADDRV]);
        let check = MachineCheck::take(&banks, Interrupted::Guest);
        assert_eq!(check.errors.len(), 1);
        assert_eq!(
            check.to_string(),
            "machine check, global status 0x5; bank 1 status 0xb580000000000000, uncorrected, address 0x12345000"
        );
        assert_eq!((banks.rdmsr(0x405), banks.rdmsr(IA32_MCG_STATUS)), (0, 0));
        assert!(MachineCheck::take(&banks, Interrupted::Guest).errors.is_empty());
    }

    #[test]
    fn more_errors_than_there_is_room_for_still_count() {
        let mut statuses = [ERROR; 32];
        statuses[31] |= BankStatus::PCC;
        let check = MachineCheck::take(&banks(0xff, TOLD, &statuses), Interrupted::Guest);
        assert_eq!((check.errors.len(), check.verdict), (8, Consequence::StopMachine));
    }
}
