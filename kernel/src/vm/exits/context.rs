//! The state of the guest's processor that handling an exit needs: read at most once, on demand, and passed down.

use crate::memory::guest::GuestRam;
use crate::virt::{InstructionBytes, LONGEST_INSTRUCTION as LONGEST, Paging, SegmentRegister, VirtualCpu};
use crate::vm::Vm;
use base::GuestMemory;
use mmio::CpuMode;
use platform::guest_paging::{self, PageWalkAccess};

/// Bytes in a page of the guest.
pub(super) const PAGE: u64 = 4096;

/// The state of the guest's processor at one exit. Each part is read when it is first asked for: a VMREAD costs,
/// and most exits need one part only. What an instruction changes, such as CR0 by LMSW, is its operand and is read where
/// it is changed.
#[derive(Default)]
pub(in crate::vm) struct ExitContext {
    mode: Option<CpuMode>,
    user: Option<bool>,
    paging: Option<Paging>,
    code: Option<InstructionBytes>,
}

impl ExitContext {
    /// How the processor reads the guest's code.
    pub(super) fn mode<V: VirtualCpu>(&mut self, cpu: &V) -> CpuMode {
        *self.mode.get_or_insert_with(|| cpu.code_mode())
    }

    /// True if the guest runs with user privilege.
    pub(super) fn is_user<V: VirtualCpu>(&mut self, cpu: &V) -> bool {
        *self.user.get_or_insert_with(|| cpu.is_user())
    }

    /// The guest's control registers, for a walk of its page tables.
    pub(super) fn paging<V: VirtualCpu>(&mut self, cpu: &V) -> &Paging {
        self.paging.get_or_insert_with(|| cpu.paging())
    }

    /// Uses the instruction bytes that the processor has delivered with the exit, if any.
    pub(super) fn take_code<V: VirtualCpu>(&mut self, cpu: &V) {
        let delivered = cpu.instruction_bytes();
        if !delivered.is_empty() {
            self.code = Some(delivered);
        }
    }

    /// The bytes at the instruction pointer, as many as can be read.
    pub(in crate::vm) fn code<V: VirtualCpu>(&mut self, vm: &Vm<V>) -> &InstructionBytes {
        if self.code.is_none() {
            let fetched = self.fetch(&vm.memory, &vm.vcpu.cpu);
            self.code = Some(fetched);
        }
        self.code.get_or_insert_default()
    }

    /// The linear address of the instruction.
    pub(super) fn code_address<V: VirtualCpu>(&mut self, cpu: &V) -> u64 {
        let rip = cpu.rip();
        match self.mode(cpu) {
            CpuMode::Bits64 => rip,
            CpuMode::Bits16 | CpuMode::Bits32 => {
                cpu.segment_base(SegmentRegister::Cs).wrapping_add(rip) & 0xffff_ffff
            }
        }
    }

    fn fetch<V: VirtualCpu>(&mut self, memory: &GuestRam, cpu: &V) -> InstructionBytes {
        let linear = self.code_address(cpu);
        let paging = self.paging(cpu);
        let in_page = bytes_to_page_end(linear).min(LONGEST);
        let (mut bytes, mut known) = (InstructionBytes::from_array([0; LONGEST]), 0);
        for (start, end) in [(0, in_page), (in_page, LONGEST)] {
            if start == end {
                break;
            }
            let start_linear = linear.wrapping_add(start as u64);
            let at = guest_paging::translate(memory, paging, start_linear, PageWalkAccess::ALLOWED);
            match at.map(|at| memory.read(at, &mut bytes[start..end])) {
                Ok(Ok(())) => known = end,
                _ => break,
            }
        }
        bytes.truncate(known);
        bytes
    }
}

/// Bytes from `linear` to the end of its page.
#[expect(clippy::cast_possible_truncation, reason = "a page has 4096 bytes")]
pub(super) fn bytes_to_page_end(linear: u64) -> usize {
    (PAGE - linear % PAGE) as usize
}
