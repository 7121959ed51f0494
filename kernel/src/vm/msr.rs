//! RDMSR and WRMSR by the guest.

use super::{BOOT_VCPU, Vm};
use crate::hardware::clock;
use crate::virt::VirtualCpu;
use base::Instant;
use platform::msr::{ReadMsr, WriteMsr};

/// IA32_TSC_DEADLINE: the one register of the local APIC that speaks in ticks of the guest's TSC.
const TSC_DEADLINE: u32 = 0x6e0;

impl<V: VirtualCpu> Vm<V> {
    /// RDMSR; `None` is #GP.
    pub fn read_msr(&mut self, index: u32, now: Instant) -> Option<u64> {
        match self.msrs.read(index) {
            ReadMsr::Value(value) => Some(value),
            ReadMsr::Processor => self.vcpu.read_msr(index),
            ReadMsr::LocalApic => {
                let value = self.pc.interrupts().read_msr(BOOT_VCPU, index, now).ok()?;
                let moved = index == TSC_DEADLINE && value != 0;
                Some(if moved { value.wrapping_add(self.tsc_moved) } else { value })
            }
            ReadMsr::Refuse => None,
        }
    }

    /// WRMSR; false is #GP.
    pub fn write_msr(&mut self, index: u32, value: u64, now: Instant) -> bool {
        let guest_tsc = clock::ticks_at(now).wrapping_add(self.tsc_moved);
        match self.msrs.write(index, value, guest_tsc) {
            WriteMsr::Done => true,
            WriteMsr::MoveTsc(by) => {
                self.tsc_moved = self.tsc_moved.wrapping_add(by);
                self.vcpu.move_tsc(by);
                true
            }
            WriteMsr::Processor => self.vcpu.write_msr(index, value),
            WriteMsr::LocalApic => {
                let moved = index == TSC_DEADLINE && value != 0;
                let value = if moved { value.wrapping_sub(self.tsc_moved).max(1) } else { value };
                match self.pc.interrupts().write_msr(BOOT_VCPU, index, value, now) {
                    Ok(effects) => {
                        self.apply(effects);
                        true
                    }
                    Err(_) => false,
                }
            }
            WriteMsr::Refuse => false,
        }
    }

    /// CR8: bits 7:4 of the task-priority register [SDM3A 11.8.6].
    pub fn task_priority(&mut self) -> u64 {
        self.pc.interrupts().task_priority(BOOT_VCPU).into()
    }

    /// Sets CR8; false when the value has other bits.
    pub fn set_task_priority(&mut self, value: u64) -> bool {
        let valid = value <= 0xf;
        if valid {
            let effects = self.pc.interrupts().set_task_priority(BOOT_VCPU, value as u8);
            self.apply(effects);
        }
        valid
    }
}
