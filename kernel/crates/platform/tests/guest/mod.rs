//! A guest's processor, reduced to interrupts and timers: it advances from deadline to deadline and takes
//! interrupts on request. It accesses the board through [`Pc`] only.

use base::{Duration, GuestPhysical, Instant, Width};
use platform::layout;
use platform::pc::{Pc, PcConfig};

/// Frequency of the guest's time-stamp counter.
pub const TSC_HZ: u64 = 2_400_000_000;

pub const SVR: u64 = 0xf0;
pub const EOI: u64 = 0xb0;
pub const ICR: u64 = 0x300;
pub const LVT_TIMER: u64 = 0x320;
pub const LVT_LINT0: u64 = 0x350;
pub const INITIAL_COUNT: u64 = 0x380;
pub const CURRENT_COUNT: u64 = 0x390;
pub const DIVIDE: u64 = 0x3e0;

pub const MASKED: u32 = 1 << 16;
pub const LEVEL: u32 = 1 << 15;
pub const ACTIVE_LOW: u32 = 1 << 13;
pub const IA32_TSC_DEADLINE: u32 = 0x6e0;

pub struct Guest {
    pub pc: Pc,
    pub now: Instant,
}

impl Guest {
    /// A guest some time after power-on: nothing may rely on a clock that starts at 0.
    pub fn new() -> Self {
        let config = PcConfig {
            memory_bytes: 256 << 20,
            vcpus: 1,
            tsc_hz: TSC_HZ,
            wall_clock_unix_seconds: 0,
            nics: 2,
        };
        Self { pc: Pc::new(&config), now: Instant(7_123_456_789) }
    }

    /// The same with the local APIC enabled by software and LINT0 masked; the inputs of the 8259As are
    /// masked, too.
    pub fn in_apic_mode() -> Self {
        let mut guest = Self::new();
        guest.write_apic(SVR, 0x1ff);
        guest.write_apic(LVT_LINT0, MASKED);
        guest
    }

    pub fn inb(&mut self, port: u16) -> u8 {
        self.pc.port_read(port, Width::Byte, self.now).0 as u8
    }

    pub fn inl(&mut self, port: u16) -> u32 {
        self.pc.port_read(port, Width::Dword, self.now).0
    }

    pub fn outb(&mut self, port: u16, value: u8) {
        let _ = self.pc.port_write(port, Width::Byte, value.into(), self.now);
    }

    pub fn read_apic(&mut self, register: u64) -> u32 {
        self.read(layout::LOCAL_APIC + register)
    }

    pub fn write_apic(&mut self, register: u64, value: u32) {
        self.write(layout::LOCAL_APIC + register, value);
    }

    pub fn read_io_apic(&mut self, register: u8) -> u32 {
        self.write(layout::IO_APIC, register.into());
        self.read(layout::IO_APIC + 0x10)
    }

    pub fn write_io_apic(&mut self, register: u8, value: u32) {
        self.write(layout::IO_APIC, register.into());
        self.write(layout::IO_APIC + 0x10, value);
    }

    /// Programs the redirection entry of `pin` for this processor.
    pub fn route(&mut self, pin: u8, entry: u32) {
        self.write_io_apic(0x11 + 2 * pin, 0);
        self.write_io_apic(0x10 + 2 * pin, entry);
    }

    /// The guest's time-stamp counter.
    pub fn tsc(&self) -> u64 {
        (u128::from(self.now.0) * u128::from(TSC_HZ) / 1_000_000_000) as u64
    }

    pub fn write_msr(&mut self, msr: u32, value: u64) -> bool {
        self.pc.interrupts().write_msr(0, msr, value, self.now).is_ok()
    }

    pub fn read_msr(&mut self, msr: u32) -> Option<u64> {
        self.pc.interrupts().read_msr(0, msr, self.now).ok()
    }

    /// Takes the interrupt that waits for the processor, if there is one.
    pub fn take(&mut self) -> Option<u8> {
        let pending = self.pc.interrupts().pending(0);
        let vector = self.pc.acknowledge(0);
        assert_eq!(pending, vector.is_some());
        vector
    }

    /// Advances by `time`, through each deadline of the board as the hypervisor does, and returns the
    /// interrupts taken, with their times. Each is ended at the local APIC.
    pub fn run(&mut self, time: Duration) -> Vec<(Instant, u8)> {
        let end = self.now + time;
        let mut taken = Vec::new();
        loop {
            while let Some(vector) = self.take() {
                taken.push((self.now, vector));
                self.write_apic(EOI, 0);
                assert!(taken.len() < 100_000, "interrupts without end");
            }
            match self.pc.next_deadline().filter(|deadline| *deadline <= end) {
                Some(deadline) => self.now = deadline.max(self.now),
                None => break,
            }
            let _ = self.pc.advance(self.now);
        }
        self.now = end;
        taken
    }

    fn read(&mut self, address: u64) -> u32 {
        let read = self.pc.mmio_read(0, GuestPhysical(address), Width::Dword, self.now);
        read.expect("a register").0 as u32
    }

    fn write(&mut self, address: u64, value: u32) {
        let written = self.pc.mmio_write(0, GuestPhysical(address), Width::Dword, value.into(), self.now);
        assert!(written.is_some(), "no register at {address:#x}");
    }
}
