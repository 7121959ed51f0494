//! The state that the receive and the transmit side share: registers, interrupts, PHY, counters.

use crate::counters::VnicCounters;
use crate::ethernet::FCS;
use crate::fault::{Faults, GuestFault, RingKind};
use crate::interrupts::VnicInterrupts;
use crate::phy::{Phy, PhySpeed};
use crate::registers::VnicRegisters;
use crate::ring::DescriptorRing;
use crate::saturating::saturating_u32;
use crate::statistics::FrameTally;
use core::sync::atomic::Ordering;
use intel_regs::{Ctrl, Interrupt, Rctl, Status, Tctl, reg, stats};

/// The state of a vNIC except frames in flight.
pub(crate) struct Controller {
    pub(crate) registers: VnicRegisters,
    pub(crate) interrupts: VnicInterrupts,
    pub(crate) phy: Phy,
    pub(crate) counters: VnicCounters,
    pub(crate) faults: Faults,
    /// The receive ring is stopped after a fault.
    pub(crate) receive_stopped: bool,
    /// The transmit ring is stopped after a fault.
    pub(crate) transmit_stopped: bool,
    /// Frame check sequences passed to the guest are calculated; otherwise they are zero. So are packet checksums
    /// from the beginning of the frame.
    pub(crate) compute_fcs: bool,
    /// Packets without `IFCS` get a frame check sequence, too.
    pub(crate) always_insert_fcs: bool,
}

impl Controller {
    /// `CTRL`.
    pub(crate) fn control(&self) -> Ctrl {
        Ctrl::from_bits_retain(self.registers.get(reg::CTRL))
    }

    /// `RCTL`.
    pub(crate) fn receive_control(&self) -> Rctl {
        Rctl::from_bits_retain(self.registers.get(reg::RCTL))
    }

    /// `TCTL`.
    pub(crate) fn transmit_control(&self) -> Tctl {
        Tctl::from_bits_retain(self.registers.get(reg::TCTL))
    }

    /// `STATUS.LU`.
    pub(crate) fn link_up(&self) -> bool {
        Status::from_bits_retain(self.registers.get(reg::STATUS)).contains(Status::LU)
    }

    /// True while the transmitter is connected to the receiver, in the MAC (`RCTL.LBM`) or in the PHY.
    pub(crate) fn loopback(&self) -> bool {
        let mode = self.receive_control() & (Rctl::LBM_MAC | Rctl::LBM_HIGH);
        mode == Rctl::LBM_MAC || self.phy.loopback()
    }

    /// The ring as the guest set it up.
    #[inline(always)]
    pub(crate) fn ring(&self, kind: RingKind) -> DescriptorRing {
        DescriptorRing::new(kind, &self.registers)
    }

    /// Takes note of the tails that the guest has set.
    #[inline(always)]
    pub(crate) fn load_tails(&mut self) {
        for kind in [RingKind::Receive, RingKind::Transmit] {
            self.registers.set(kind.registers().tail, self.interrupts.shared.tail(kind));
        }
    }

    /// Tells the register half of what a write has changed, on its own core.
    pub(crate) fn publish(&self) {
        for kind in [RingKind::Receive, RingKind::Transmit] {
            let (ring, enabled) = (self.ring(kind), self.enabled(kind));
            self.interrupts.shared.set_tail(kind, ring.tail);
            self.interrupts.shared.set_length(kind, if enabled { ring.length } else { 0 });
        }
        self.interrupts.shared.status.store(self.registers.get(reg::STATUS), Ordering::Release);
    }

    /// True when the ring's unit is enabled.
    pub(crate) fn enabled(&self, kind: RingKind) -> bool {
        match kind {
            RingKind::Receive => self.receive_control().contains(Rctl::EN),
            RingKind::Transmit => self.transmit_control().contains(Tctl::EN),
        }
    }

    /// Updates `STATUS` from the PHY, whose link the MAC sees only with `CTRL.SLU` [8254x 8.6.2.1]. `again` means
    /// that the link went down and came back since the last update. Returns true when the link came up.
    pub(crate) fn update_link(&mut self, again: bool) -> bool {
        let control = self.control();
        let was_up = self.link_up();
        let link = self.phy.link().filter(|_| control.contains(Ctrl::SLU));
        let mut status = Status::from_bits_retain(self.registers.get(reg::STATUS));
        status -= Status::LU | Status::FD | Status::SPEED_100 | Status::SPEED_1000;
        if let Some(link) = link {
            status |= Status::LU;
            let forced = control.contains(Ctrl::FRCSPD);
            let full =
                if control.contains(Ctrl::FRCDPLX) { control.contains(Ctrl::FD) } else { link.full_duplex };
            let hundred = link.speed == PhySpeed::Hundred;
            let thousand = link.speed == PhySpeed::Thousand;
            status.set(Status::FD, full);
            status.set(Status::SPEED_100, if forced { control.contains(Ctrl::SPEED_100) } else { hundred });
            status
                .set(Status::SPEED_1000, if forced { control.contains(Ctrl::SPEED_1000) } else { thousand });
        } else {
            // Without a link, STATUS shows its defaults.
            status |= Status::FD | Status::SPEED_1000;
        }
        self.registers.set(reg::STATUS, status.bits());
        self.interrupts.shared.status.store(status.bits(), Ordering::Release);
        let is_up = link.is_some();
        if was_up != is_up || again && is_up {
            self.interrupts.raise(Interrupt::LSC);
        }
        is_up && (!was_up || again)
    }

    /// Counts frames transmitted.
    pub(crate) fn count_transmitted(&mut self, tally: &FrameTally) {
        if tally.frames > 0 {
            self.registers.count_transmitted(tally);
            self.counters.transmitted += u64::from(tally.frames);
            self.counters.transmitted_bytes += (tally.bytes - tally.frames as usize * FCS) as u64;
        }
    }

    /// Counts frames received.
    pub(crate) fn count_received(&mut self, tally: &FrameTally) {
        if tally.frames > 0 {
            self.registers.count_received(tally);
            self.counters.received += u64::from(tally.frames);
        }
    }

    /// Counts frames for which neither the receive FIFO nor the ring had room [8254x 13.4.17, 13.7.4].
    pub(crate) fn note_missed(&mut self, frames: usize) {
        self.registers.count(stats::MPC, saturating_u32(frames));
        self.interrupts.raise(Interrupt::RXO);
    }

    /// Stops a ring after `fault`, until the guest sets it up again.
    pub(crate) fn stop(&mut self, kind: RingKind, fault: GuestFault) {
        match kind {
            RingKind::Receive => self.receive_stopped = true,
            RingKind::Transmit => self.transmit_stopped = true,
        }
        match fault {
            GuestFault::DescriptorOutsideMemory { .. } => self.counters.descriptor_outside_memory += 1,
            GuestFault::BufferOutsideMemory { .. } => self.counters.receive_buffer_outside_memory += 1,
            _ => {}
        }
        self.faults.note(fault);
    }

    /// True when the guest's tail is valid; otherwise counts and records the fault.
    pub(crate) fn check_tail(&mut self, kind: RingKind) -> bool {
        let ring = self.ring(kind);
        if !ring.tail_is_beyond() {
            if ring.length == 0 && ring.tail != 0 {
                self.faults.note(GuestFault::EmptyRing { ring: kind });
            }
            return true;
        }
        self.counters.tail_beyond_ring += 1;
        self.faults.note(GuestFault::TailBeyondRing {
            ring: kind,
            tail: ring.tail,
            descriptors: ring.length,
        });
        false
    }
}
