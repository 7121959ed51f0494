//! Model-specific registers as a guest sees them: some are held by the processor ([`processor`]), some by the
//! local APIC, some by Weir here; all others do not exist.

mod mtrr;
pub mod processor;

use super::clock::{self, SystemTime};
use crate::cpuid::CpuidPolicy;
use base::GuestPhysical;
use core::ops::RangeInclusive;
use mtrr::Mtrrs;
use processor::Condition;

/// IA32_TIME_STAMP_COUNTER.
pub const IA32_TIME_STAMP_COUNTER: u32 = 0x10;
/// IA32_PAT.
pub const IA32_PAT: u32 = 0x277;
/// IA32_XSS.
pub const IA32_XSS: u32 = 0xda0;
/// IA32_EFER.
pub const IA32_EFER: u32 = 0xc000_0080;
/// IA32_SPEC_CTRL.
const IA32_SPEC_CTRL: u32 = 0x48;
/// IA32_ARCH_CAPABILITIES.
pub const IA32_ARCH_CAPABILITIES: u32 = 0x10a;

const IA32_PLATFORM_ID: u32 = 0x17;
const IA32_APIC_BASE: u32 = 0x1b;
const IA32_FEATURE_CONTROL: u32 = 0x3a;
const IA32_TSC_ADJUST: u32 = 0x3b;
const IA32_BIOS_UPDT_TRIG: u32 = 0x79;
const IA32_BIOS_SIGN_ID: u32 = 0x8b;
const MSR_PLATFORM_INFO: u32 = 0xce;
const IA32_MCG_CAP: u32 = 0x179;
const IA32_MCG_STATUS: u32 = 0x17a;
const IA32_PERF_STATUS: u32 = 0x198;
const IA32_MISC_ENABLE: u32 = 0x1a0;
const IA32_DEBUGCTL: u32 = 0x1d9;
const IA32_TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_FIRST: u32 = 0x800;
const X2APIC_LAST: u32 = 0x8ff;

/// AMD's system configuration [APM2 3.2.1].
const SYSCFG: u32 = 0xc001_0010;
/// AMD's hardware configuration [APM2 A.1]; the manual of each processor family defines its bits.
const HWCR: u32 = 0xc001_0015;
/// AMD's northbridge configuration.
const NB_CFG: u32 = 0xc001_001f;
/// AMD's microcode loader: as IA32_BIOS_UPDT_TRIG.
const PATCH_LOADER: u32 = 0xc001_0020;
/// AMD's registers that no bit of CPUID announces and that are off: the four performance counters with their
/// controls; the I/O range registers, and the two ends of DRAM, which SYSCFG does not enable; the interrupt
/// pending message; the base of memory-mapped configuration space, of which ACPI tells [APM2 A.1, 7.9, 13.2].
/// LS_CFG and DE_CFG are not among them: a guest that can write those believes that it has changed speculation.
const AMD_DISABLED: [RangeInclusive<u32>; 6] = [
    0xc001_0000..=0xc001_0007,
    0xc001_0016..=0xc001_0019,
    0xc001_001a..=0xc001_001a,
    0xc001_001d..=0xc001_001d,
    0xc001_0055..=0xc001_0055,
    0xc001_0058..=0xc001_0058,
];
/// NB_CFG: extended PCI configuration space through ports 0xcf8 and 0xcfc.
const EXTENDED_CONFIGURATION: u64 = 1 << 46;
/// HWCR: the time-stamp counter runs at the frequency of P-state 0, as guests are told.
const TSC_FREQUENCY_SELECT: u64 = 1 << 24;
/// IA32_FEATURE_CONTROL: locked with everything off, as firmware without VMX and SGX leaves it.
const FEATURE_CONTROL_LOCKED: u64 = 1;
/// IA32_MISC_ENABLE [SDM4 table 2-2]: fast strings; no branch trace store, no PEBS.
const FAST_STRINGS: u64 = 1 << 0;
const BTS_UNAVAILABLE: u64 = 1 << 11;
const PEBS_UNAVAILABLE: u64 = 1 << 12;
/// Bits of IA32_MISC_ENABLE that a guest may change: fast strings, and two that every guest clears and that
/// have no effect here, LIMIT_CPUID_MAXVAL and XD disable.
const MISC_ENABLE_WRITABLE: u64 = FAST_STRINGS | 1 << 22 | 1 << 34;
/// The bits of IA32_ARCH_CAPABILITIES that a guest sees: vulnerabilities that the processor does not have,
/// and the effects of VERW. Bits that announce further control registers stay hidden, like those registers.
const ARCH_CAPABILITIES_SHOWN: u64 =
    bits(&[0, 1, 2, 3, 4, 5, 6, 8, 13, 14, 15, 17, 19, 20, 24, 26, 27, 28, 62]);
/// IBRS_ALL: a guest that sees it sets IA32_SPEC_CTRL.IBRS, without looking for the register again.
const IBRS_ALL: u64 = 1 << 1;

const fn bits(numbers: &[u8]) -> u64 {
    let (mut mask, mut i) = (0, 0);
    while i < numbers.len() {
        mask |= 1 << numbers[i];
        i += 1;
    }
    mask
}

/// True for a register that the local APIC holds. Nearly all exits by RDMSR and WRMSR are for these (the timer, the end
/// of an interrupt, interrupts between processors), so no list is searched before.
const fn is_local_apics(msr: u32) -> bool {
    matches!(msr, IA32_TSC_DEADLINE | X2APIC_FIRST..=X2APIC_LAST | IA32_APIC_BASE)
}

/// The response to RDMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMsr {
    /// The guest gets this value.
    Value(u64),
    /// The guest's value is at the place that [`processor`] names.
    Processor,
    /// The local APIC holds the register.
    LocalApic,
    /// #GP(0): there is no such register.
    Refuse,
}

/// The response to WRMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMsr {
    /// Done, or without effect here.
    Done,
    /// Add this to the guest's TSC offset, wrapping, then write what [`Msrs::system_time`] holds.
    MoveTsc(u64),
    /// Done; the value also belongs into the processor's own register, added to the hypervisor's.
    SpecCtrl,
    /// Write [`clock::wall_clock`] to this address; refuse where there is no memory.
    WallClock(GuestPhysical),
    /// The value is acceptable: store it at the place that [`processor`] names.
    Processor,
    /// The local APIC holds the register.
    LocalApic,
    /// #GP(0): there is no such register, it is read-only, or the value is not acceptable.
    Refuse,
}

/// Values of the host of which a guest is shown a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HostMsrs {
    /// IA32_ARCH_CAPABILITIES, zero where there is none.
    pub arch_capabilities: u64,
    /// Bits of IA32_SPEC_CTRL that the guest may set.
    pub spec_ctrl: u64,
    /// Microcode revision, in IA32_BIOS_SIGN_ID.
    pub microcode: u32,
    /// Physical address bits that the guest is shown in CPUID leaf 0x8000_0008.
    pub physical_bits: u8,
    /// Bits of IA32_EFER that the guest may set: [`crate::controls::allowed_efer`].
    pub efer: u64,
    /// The processor has AMD's registers from C001_0000h on, of which no bit of CPUID tells.
    pub system_configuration: bool,
}

/// The registers of one processor that Weir keeps.
///
/// ```
/// use platform::cpuid::CpuidPolicy;
/// use platform::msr::{HostMsrs, IA32_PAT, Msrs, ReadMsr, WriteMsr};
///
/// let mut msrs = Msrs::new(CpuidPolicy::default(), HostMsrs::default());
/// assert_eq!(msrs.read(0x3a), ReadMsr::Value(1), "IA32_FEATURE_CONTROL is locked, with VMX disabled");
/// assert_eq!(msrs.write(IA32_PAT, 2, 0), WriteMsr::Refuse, "memory type 2 is reserved");
/// ```
#[derive(Clone, Debug)]
pub struct Msrs {
    policy: CpuidPolicy,
    host: HostMsrs,
    mtrrs: Mtrrs,
    misc_enable: u64,
    tsc_adjust: u64,
    mcg_status: u64,
    spec_ctrl: u64,
    system_time: SystemTime,
}

impl Msrs {
    /// The registers after reset, as firmware leaves them.
    #[must_use]
    pub fn new(policy: CpuidPolicy, host: HostMsrs) -> Self {
        Self {
            policy,
            host,
            mtrrs: Mtrrs::new(host.physical_bits),
            misc_enable: FAST_STRINGS | BTS_UNAVAILABLE | PEBS_UNAVAILABLE,
            tsc_adjust: 0,
            mcg_status: 0,
            spec_ctrl: 0,
            system_time: SystemTime::default(),
        }
    }

    /// IA32_SPEC_CTRL as the guest set it.
    #[must_use]
    pub fn spec_ctrl(&self) -> u64 {
        self.spec_ctrl
    }

    /// RDMSR of register `msr`.
    #[must_use]
    pub fn read(&self, msr: u32) -> ReadMsr {
        if is_local_apics(msr) {
            return ReadMsr::LocalApic;
        }
        if let Some(held) = processor::find(msr) {
            let readable = held.home != processor::Home::Command && self.exists(held.condition);
            return if readable { ReadMsr::Processor } else { ReadMsr::Refuse };
        }
        // Ratio of the TSC to the 100 MHz bus.
        let ratio = (self.policy.tsc_hz / 100_000_000).min(0xff);
        let value = match msr {
            // No platform, no open machine check, no bank to report one.
            IA32_PLATFORM_ID | IA32_MCG_CAP | IA32_DEBUGCTL => 0,
            IA32_MCG_STATUS => self.mcg_status,
            IA32_FEATURE_CONTROL => FEATURE_CONTROL_LOCKED,
            IA32_TSC_ADJUST => self.tsc_adjust,
            // The upper half, and on AMD's processors the lower one [SDM3A 10.11.7; APM2 A.1].
            IA32_BIOS_SIGN_ID if self.host.system_configuration => self.host.microcode.into(),
            clock::SYSTEM_TIME => self.system_time.register(),
            // Of no use but to be written.
            clock::WALL_CLOCK => 0,
            IA32_BIOS_SIGN_ID => u64::from(self.host.microcode) << 32,
            MSR_PLATFORM_INFO | IA32_PERF_STATUS => ratio << 8,
            IA32_ARCH_CAPABILITIES if self.policy.arch_capabilities => {
                let hidden = if self.host.spec_ctrl & 1 == 0 { IBRS_ALL } else { 0 };
                self.host.arch_capabilities & ARCH_CAPABILITIES_SHOWN & !hidden
            }
            IA32_SPEC_CTRL if self.policy.spec_ctrl => self.spec_ctrl,
            IA32_MISC_ENABLE => self.misc_enable,
            // No memory above 4 GiB beyond the MTRRs' own, no encryption [APM2 7.9].
            SYSCFG if self.host.system_configuration => 0,
            HWCR if self.host.system_configuration => TSC_FREQUENCY_SELECT,
            NB_CFG if self.host.system_configuration => 0,
            _ if self.is_disabled(msr) => 0,
            _ => return self.mtrrs.read(msr).map_or(ReadMsr::Refuse, ReadMsr::Value),
        };
        ReadMsr::Value(value)
    }

    /// WRMSR of `value` to register `msr`, when the machine's counter has made `ticks` since instant zero.
    pub fn write(&mut self, msr: u32, value: u64, ticks: u64) -> WriteMsr {
        if is_local_apics(msr) {
            return WriteMsr::LocalApic;
        }
        if let Some(held) = processor::find(msr) {
            return self.write_held(held, value, ticks);
        }
        let accepted = match msr {
            clock::SYSTEM_TIME if self.system_time.write(value) => return WriteMsr::MoveTsc(0),
            clock::WALL_CLOCK if value & 3 == 0 => return WriteMsr::WallClock(GuestPhysical(value)),
            IA32_TSC_ADJUST => {
                let moved = value.wrapping_sub(self.tsc_adjust);
                self.tsc_adjust = value;
                return WriteMsr::MoveTsc(moved);
            }
            // A guest clears the revision before it reads it. Microcode updates belong to the host: loading
            // one has no effect, as the unchanged revision tells the guest.
            IA32_BIOS_SIGN_ID | IA32_BIOS_UPDT_TRIG => true,
            IA32_MCG_STATUS => {
                self.mcg_status = value & 7;
                value <= 7
            }
            IA32_SPEC_CTRL if self.policy.spec_ctrl && value & !self.host.spec_ctrl == 0 => {
                self.spec_ctrl = value;
                return WriteMsr::SpecCtrl;
            }
            IA32_MISC_ENABLE => {
                self.misc_enable = self.misc_enable & !MISC_ENABLE_WRITABLE | value & MISC_ENABLE_WRITABLE;
                true
            }
            // LBR and BTF (bits 0 and 1) are accepted and read back as zero, as on a processor without them:
            // a debugger that steps by branches then steps by instructions.
            IA32_DEBUGCTL => value & !3 == 0,
            SYSCFG if self.host.system_configuration => value == 0,
            HWCR if self.host.system_configuration => value == TSC_FREQUENCY_SELECT,
            // Linux sets the bit and does not check it; there are no extended registers to access.
            NB_CFG if self.host.system_configuration => value & !EXTENDED_CONFIGURATION == 0,
            PATCH_LOADER if self.host.system_configuration => true,
            _ if self.is_disabled(msr) => true,
            _ => self.mtrrs.write(msr, value).unwrap_or(false),
        };
        if accepted { WriteMsr::Done } else { WriteMsr::Refuse }
    }

    /// The value of a register of the local APIC as the guest sees it: IA32_TSC_DEADLINE counts in ticks of the
    /// guest's counter, all others are the same.
    #[must_use]
    pub fn from_local_apic(&self, msr: u32, value: u64) -> u64 {
        let moved = msr == IA32_TSC_DEADLINE && value != 0;
        if moved { value.wrapping_add(self.tsc_adjust) } else { value }
    }

    /// The value for the local APIC that the guest writes to one of its registers.
    #[must_use]
    pub fn to_local_apic(&self, msr: u32, value: u64) -> u64 {
        let moved = msr == IA32_TSC_DEADLINE && value != 0;
        if moved { value.wrapping_sub(self.tsc_adjust).max(1) } else { value }
    }

    /// The structure that the guest has asked for and the address where it wants it: to be written now.
    pub fn system_time(&mut self) -> Option<(GuestPhysical, [u8; 32])> {
        // All that has moved the counter away from its value at instant zero is in TSC_ADJUST.
        self.system_time.structure(self.policy.tsc_hz, self.tsc_adjust)
    }

    fn write_held(&mut self, held: &processor::ProcessorMsr, value: u64, ticks: u64) -> WriteMsr {
        let accepted = match held.index {
            IA32_TIME_STAMP_COUNTER => {
                // TSC_ADJUST follows every write of the counter [SDM3B 18.17.3].
                let moved = value.wrapping_sub(ticks.wrapping_add(self.tsc_adjust));
                self.tsc_adjust = self.tsc_adjust.wrapping_add(moved);
                return WriteMsr::MoveTsc(moved);
            }
            // UC, WC, WT, WP, WB and UC- [SDM3A table 12-10].
            IA32_PAT => value.to_le_bytes().into_iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
            IA32_EFER => value & !self.host.efer == 0,
            IA32_XSS => value == 0,
            _ => true,
        };
        if accepted && self.exists(held.condition) { WriteMsr::Processor } else { WriteMsr::Refuse }
    }

    /// True for a register of AMD's that exists on every processor and does nothing here: it reads as zero, and
    /// what is written is ignored.
    fn is_disabled(&self, msr: u32) -> bool {
        self.host.system_configuration && AMD_DISABLED.iter().any(|range| range.contains(&msr))
    }

    fn exists(&self, condition: Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::Rdtscp => self.policy.rdtscp,
            Condition::SpecCtrl => self.policy.spec_ctrl,
            Condition::Xsaves => self.policy.xsaves,
        }
    }
}

#[cfg(test)]
mod tests;
