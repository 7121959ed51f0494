//! RDMSR and WRMSR by the guest.

use crate::processor::clock::ticks_at;
use crate::virt::{VirtualCpu, guards};
use crate::vm::Vm;
use base::{GuestMemory, Instant};
use platform::clock;
use platform::msr::{IA32_TIME_STAMP_COUNTER, ReadMsr, WriteMsr};

impl<V: VirtualCpu> Vm<V> {
    /// RDMSR; `None` means #GP.
    pub(super) fn read_msr(&mut self, index: u32, now: Instant) -> Option<u64> {
        match self.vcpu.msrs.read(index) {
            ReadMsr::Value(value) => Some(value),
            ReadMsr::Processor => self.vcpu.cpu.read_msr(index),
            ReadMsr::LocalApic => {
                let value = self.pc.interrupts().read_msr(self.vcpu.number, index, now).ok()?;
                Some(self.vcpu.msrs.from_local_apic(index, value))
            }
            ReadMsr::Refuse => None,
        }
    }

    /// WRMSR; false means #GP.
    pub(super) fn write_msr(&mut self, index: u32, value: u64, now: Instant) -> bool {
        // Only a write of the counter depends on its value, and the conversion to ticks is a 128-bit division.
        let ticks = if index == IA32_TIME_STAMP_COUNTER { ticks_at(now) } else { 0 };
        match self.vcpu.msrs.write(index, value, ticks) {
            WriteMsr::Done => true,
            WriteMsr::MoveTsc(by) => {
                self.vcpu.cpu.move_tsc(by);
                if let Some((at, structure)) = self.vcpu.msrs.system_time() {
                    // Nothing is written where there is no memory, as on a bus without a device.
                    let _ = self.memory.write(at, &structure);
                }
                true
            }
            WriteMsr::WallClock(at) => {
                let time = clock::wall_clock(self.life.images.board.wall_clock_unix_seconds);
                self.memory.write(at, &time).is_ok()
            }
            WriteMsr::SpecCtrl => {
                guards::set_guest_spec_ctrl(value);
                true
            }
            WriteMsr::Processor => self.vcpu.cpu.write_msr(index, value),
            WriteMsr::LocalApic => {
                let value = self.vcpu.msrs.to_local_apic(index, value);
                let written = self.pc.interrupts().write_msr(self.vcpu.number, index, value, now);
                written.map(|effects| self.apply(effects)).is_ok()
            }
            WriteMsr::Refuse => false,
        }
    }
}
