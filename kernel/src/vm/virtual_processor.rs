//! One virtual processor of a guest. A guest has one today; nothing here assumes that.

use super::statistics::ExitCounts;
use crate::virt::exit::InjectedEvent;
use crate::virt::state::registers::{RAX, RDX};
use crate::virt::{VirtualCpu, guards, offer};
use base::bits::low_u32;
use mmio::{CpuMode, DecoderMemory};
use platform::boot::EntryState;
use platform::msr::Msrs;

/// The number of a guest's first virtual processor, as the board counts them.
pub(super) const BOOT_VCPU: u8 = 0;

/// One virtual processor.
pub struct VirtualProcessor<V> {
    /// Its number on the board.
    pub(super) number: u8,
    /// Registers and control structure, in the vendor's form.
    pub cpu: V,
    pub(super) msrs: Msrs,
    pub(super) decoder: DecoderMemory,
    /// It has executed HLT, and no interrupt has arrived since.
    pub(super) halted: bool,
    /// An exception to deliver before the next instruction.
    pub(super) fault: Option<InjectedEvent>,
    /// What its exits have cost.
    pub statistics: ExitCounts,
}

impl<V: VirtualCpu> VirtualProcessor<V> {
    /// The virtual processor with this number, as after reset.
    pub(super) fn new(number: u8, cpu: V) -> Self {
        Self {
            number,
            cpu,
            msrs: Msrs::new(offer::policy(), offer::host_msrs()),
            decoder: DecoderMemory::default(),
            halted: false,
            fault: None,
            statistics: ExitCounts::new(),
        }
    }

    /// Sets the state that the boot protocol prescribes, as after power-on. The virtual processor must not be
    /// active.
    pub(super) fn reset(&mut self, entry: &EntryState) {
        self.cpu.reset();
        self.cpu.set_boot_state(entry);
        self.msrs = Msrs::new(offer::policy(), offer::host_msrs());
        self.halted = false;
        self.fault = None;
    }

    /// Loads into the processor what entries and exits do not switch.
    pub fn activate(&mut self) {
        guards::set_guest_spec_ctrl(self.msrs.spec_ctrl());
        self.cpu.activate();
    }

    /// The low half of a general-purpose register.
    pub(super) fn general_32(&self, number: usize) -> u32 {
        low_u32(self.cpu.general(number))
    }

    /// The operand of WRMSR and XSETBV: EDX and EAX.
    pub(super) fn edx_eax(&self) -> u64 {
        u64::from(self.general_32(RDX)) << 32 | u64::from(self.general_32(RAX))
    }

    /// Delivers an exception before the next instruction.
    pub(super) fn raise(&mut self, event: InjectedEvent) {
        self.fault = Some(event);
    }

    /// Delivers #PF for an address that the guest's own tables do not allow.
    pub(super) fn raise_page_fault(&mut self, linear: u64, code: u32) {
        self.cpu.set_cr2(linear);
        self.raise(InjectedEvent::Exception { vector: 14, error: Some(code) });
    }

    /// Steps over an instruction of `length` bytes.
    pub(super) fn advance(&mut self, length: u8, mode: CpuMode) {
        let rip = self.cpu.rip().wrapping_add(length.into());
        self.cpu.set_rip(mode.wrap_instruction_pointer(rip));
    }
}
