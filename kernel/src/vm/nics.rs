//! A guest's vNICs on its bus: which one an address belongs to, and how their effects are applied.

use super::Vm;
use crate::meeting::vnic_slot::VnicSlot;
use crate::virt::VirtualCpu;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Effects, Instant};
use vnic::VnicFront;

/// The vNICs of one guest.
pub struct Nics {
    /// In the order of their slots.
    slots: Vec<Arc<VnicSlot>>,
    /// Their register halves.
    fronts: Vec<VnicFront>,
    /// The one that is asked first for work.
    next: usize,
}

impl Nics {
    /// These vNICs, in the order of their slots.
    pub(super) fn new((slots, fronts): (Vec<Arc<VnicSlot>>, Vec<VnicFront>)) -> Self {
        Self { slots, fronts, next: 0 }
    }

    /// The vNIC with this index, and its register half.
    pub(super) fn vnic(&mut self, index: usize) -> (&VnicSlot, &mut VnicFront) {
        (&self.slots[index], &mut self.fronts[index])
    }

    /// The vNICs, in the order of their slots.
    pub fn slots(&self) -> &[Arc<VnicSlot>] {
        &self.slots
    }

    /// The index of the vNIC in this slot of the bus.
    pub(super) fn find(&self, slot: u8) -> Option<usize> {
        self.slots.iter().position(|known| known.slot == slot)
    }

    /// Puts every vNIC in its state after power-on.
    pub(super) fn power_cycle(&mut self) {
        for (slot, front) in self.slots.iter().zip(&mut self.fronts) {
            slot.engine().power_cycle();
            front.power_cycle();
            let _ = slot.take_work();
        }
    }

    /// True while the guest waits for physical NICs to read its memory no more, for frames that it has given up.
    pub(super) fn are_awaited(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_awaited())
    }

    /// The earliest deadline of any vNIC.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.fronts.iter().filter_map(VnicFront::next_deadline).min()
    }

    /// A vNIC with work for a switch: frames to send, or room for frames. Another one each time, if there are several.
    pub fn next_with_work(&mut self) -> Option<&Arc<VnicSlot>> {
        let count = self.slots.len();
        let mut places = (0..count).map(|step| (self.next + step) % count);
        let place = places.find(|place| self.slots[*place].has_work())?;
        self.next = place + 1;
        self.slots.get(place)
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// Applies the effects of an access to a vNIC, or of its timer.
    pub(super) fn apply_nic(&mut self, index: usize, effects: Effects, now: Instant) {
        let (slot, front) = self.nics.vnic(index);
        let effects = slot.settle(front, effects, &self.identity.name, now);
        if effects.contains(Effects::IRQ_CHANGED) {
            self.effects |= self.pc.set_function_interrupt(slot.slot, front.interrupt_line());
        }
        slot.add_work(effects);
        self.effects |= effects;
        if effects.contains(Effects::FRAMES_LEFT) {
            slot.await_kept();
            self.hold_for_frames(now);
        }
    }

    /// Holds the guest while frames are on their way that it has given up: what it writes next to their memory must not
    /// leave the machine.
    pub(super) fn hold_for_frames(&mut self, now: Instant) {
        if self.nics.are_awaited() {
            self.held = self.held.max(Some(now + path::REAP_INTERVAL));
        }
    }

    /// Fires the vNICs' timers that are due.
    pub(super) fn advance_nics(&mut self, now: Instant) {
        for index in 0..self.nics.slots.len() {
            let (slot, front) = self.nics.vnic(index);
            let due = front.is_due(now);
            let effects = if due { slot.engine().advance(now) } else { Effects::empty() };
            self.apply_nic(index, effects, now);
        }
    }

    /// Applies the effects that moved frames have had on the vNICs.
    pub(super) fn refresh_nics(&mut self, now: Instant) {
        for index in 0..self.nics.slots.len() {
            let effects = self.nics.fronts[index].take_effects();
            if !effects.is_empty() {
                self.apply_nic(index, effects, now);
            }
        }
    }

    /// Allows or denies each vNIC access to guest memory, by the VM's state and the vNIC's configuration space. One
    /// that is allowed again looks at its rings: its effects are noted in the model, for `refresh_nics`.
    pub(super) fn switch_nics(&mut self) {
        for slot in &self.nics.slots {
            if slot.set_on(self.state().is_on() && self.pc.bus_master(slot.slot)) {
                self.effects |= Effects::TX_KICK | Effects::RX_SPACE;
            }
        }
    }
}
