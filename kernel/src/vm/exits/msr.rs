//! RDMSR and WRMSR by the guest.

use crate::processor::clock::ticks_at;
use crate::virt::{VirtualCpu, guards};
use crate::vm::Vm;
use base::{GuestMemory, Instant};
use platform::clock;
use platform::msr::{IA32_TIME_STAMP_COUNTER, ReadMsr, WriteMsr};

/// IA32_TSC_DEADLINE: the one register of the local APIC that counts in ticks of the guest's TSC.
const TSC_DEADLINE: u32 = 0x6e0;

impl<V: VirtualCpu> Vm<V> {
    /// RDMSR; `None` means #GP.
    pub(super) fn read_msr(&mut self, index: u32, now: Instant) -> Option<u64> {
        match self.vcpu.msrs.read(index) {
            ReadMsr::Value(value) => Some(value),
            ReadMsr::Processor => self.vcpu.cpu.read_msr(index),
            ReadMsr::LocalApic => {
                let value = self.pc.interrupts().read_msr(self.vcpu.number, index, now).ok()?;
                let moved = index == TSC_DEADLINE && value != 0;
                Some(if moved { value.wrapping_add(self.vcpu.tsc_moved) } else { value })
            }
            ReadMsr::Refuse => None,
        }
    }

    /// WRMSR; false means #GP.
    pub(super) fn write_msr(&mut self, index: u32, value: u64, now: Instant) -> bool {
        // Only a write of the counter depends on its value, and the conversion to ticks is a 128-bit division.
        let ticks = if index == IA32_TIME_STAMP_COUNTER { ticks_at(now) } else { 0 };
        let guest_tsc = ticks.wrapping_add(self.vcpu.tsc_moved);
        match self.vcpu.msrs.write(index, value, guest_tsc) {
            WriteMsr::Done => true,
            WriteMsr::MoveTsc(by) => {
                self.vcpu.tsc_moved = self.vcpu.tsc_moved.wrapping_add(by);
                self.vcpu.cpu.move_tsc(by);
                self.write_system_time();
                true
            }
            WriteMsr::SystemTime => {
                self.write_system_time();
                true
            }
            WriteMsr::WallClock(at) => {
                let time = clock::wall_clock(self.life.images.board.wall_clock_unix_seconds);
                // Nothing is written where there is no memory, as on a bus without a device.
                let _ = self.memory.write(at, &time);
                true
            }
            WriteMsr::SpecCtrl => {
                guards::set_guest_spec_ctrl(value);
                true
            }
            WriteMsr::Processor => self.vcpu.cpu.write_msr(index, value),
            WriteMsr::LocalApic => {
                let moved = index == TSC_DEADLINE && value != 0;
                let value = if moved { value.wrapping_sub(self.vcpu.tsc_moved).max(1) } else { value };
                match self.pc.interrupts().write_msr(self.vcpu.number, index, value, now) {
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

    /// Writes how the time-stamp counter gives the time, where the guest has asked for it.
    fn write_system_time(&mut self) {
        if let Some((at, structure)) = self.vcpu.msrs.system_time() {
            let _ = self.memory.write(at, &structure);
        }
    }
}
