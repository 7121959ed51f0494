//! A function before its driver: awake, and with the bus and the link as it bears them.

use crate::function::MOST_CAPABILITIES;
use crate::registers::{
    BAR, BUS_NUMBERS, CACHE_LINE, CAPABILITIES, COMMAND, HAS_CAPABILITIES, INTERRUPT, capability, express,
    pci_x, pmcsr,
};

/// The registers of the header that a function in D3hot may forget on its way to D0 [PCIe 5.0 5.3.1.4], in the order
/// in which they are written back: decode comes last.
const FORGOTTEN: [u8; 9] =
    [CACHE_LINE, INTERRUPT, BAR, BAR + 4, BAR + 8, BAR + 12, BAR + 16, BAR + 20, COMMAND];

/// The registers of one function in configuration space.
pub trait FunctionRegisters {
    /// Reads the 32-bit register at `offset`, a multiple of 4.
    fn read(&self, offset: u8) -> u32;

    /// Writes the 32-bit register at `offset`, a multiple of 4.
    fn write(&self, offset: u8, value: u32);
}

/// What a sleeping function held.
pub struct SavedFunction {
    /// In its header.
    header: [u32; FORGOTTEN.len()],
    /// In its capabilities for the bus: offsets and values.
    controls: [Option<(u8, u32)>; 4],
}

/// Wakes a function, and forbids it to wake the machine. Returns what the caller must [`restore`] after 10 ms, the time
/// from D3hot to D0 [PCIe 5.0 5.9.2]; `None` when the function was awake.
///
/// [`restore`]: SavedFunction::restore
pub fn wake(function: &impl FunctionRegisters) -> Option<SavedFunction> {
    let at = find(function, capability::POWER)?.checked_add(pmcsr::OFFSET)?;
    let state = function.read(at);
    let saved = SavedFunction {
        header: FORGOTTEN.map(|offset| function.read(offset)),
        controls: bus_controls(function),
    };
    function.write(at, state & !(pmcsr::STATE | pmcsr::PME_EN) | pmcsr::PME_STATUS);
    (state & pmcsr::STATE != 0).then_some(saved)
}

/// The control words of the capabilities for the bus, without their status halves, which are cleared by writing 1. What
/// firmware set there fits the other end of the link: a function that went back to a maximum payload of 128 bytes could
/// not take what the port above it sends [PCIe 5.0 2.2.2].
fn bus_controls(function: &impl FunctionRegisters) -> [Option<(u8, u32)>; 4] {
    // The lower half of this register cannot be written.
    let pci_x = find(function, capability::PCI_X).map(|at| (at, function.read(at)));
    let express = find(function, capability::PCI_EXPRESS);
    let has_second = express.is_some_and(|at| express_version(function, at) >= 2);
    let word = |offset| {
        let at = express?.checked_add(offset)?;
        Some((at, function.read(at) & express::CONTROL))
    };
    let second = word(express::DEVICE_2).filter(|_| has_second);
    [pci_x, word(express::DEVICE), word(express::LINK), second]
}

impl SavedFunction {
    /// Gives the function back what it has forgotten.
    pub fn restore(self, function: &impl FunctionRegisters) {
        for (offset, value) in self.controls.into_iter().flatten() {
            function.write(offset, value);
        }
        for (offset, value) in FORGOTTEN.into_iter().zip(self.header) {
            // The status half of the command register is cleared by writing 1.
            let value = if offset == COMMAND { value & 0xffff } else { value };
            function.write(offset, value);
        }
    }
}

/// Sets what NICs need of their bus: reads of at most 2048 bytes on PCI-X (82545EM, erratum), and for those that give up
/// early a longer completion timeout on PCI Express.
pub fn prepare_bus(function: &impl FunctionRegisters, gives_up_early: bool) {
    if let Some(at) = find(function, capability::PCI_X) {
        let command = function.read(at);
        let count = command >> pci_x::READ_COUNT_SHIFT & pci_x::READ_COUNT_MASK;
        if count > pci_x::READ_COUNT_2048 {
            let rest = command & !(pci_x::READ_COUNT_MASK << pci_x::READ_COUNT_SHIFT);
            function.write(at, rest | pci_x::READ_COUNT_2048 << pci_x::READ_COUNT_SHIFT);
        }
    }
    let Some(at) = find(function, capability::PCI_EXPRESS).filter(|_| gives_up_early) else { return };
    let has_second = express_version(function, at) >= 2;
    let Some(device) = at.checked_add(express::DEVICE_2).filter(|_| has_second) else { return };
    let control = function.read(device);
    if control & express::COMPLETION_TIMEOUT == 0 {
        function.write(device, control & express::CONTROL | express::COMPLETION_16_MS);
    }
}

/// Switches ASPM off at one end of a link; true if it was on. The end below comes first [PCIe 5.0 5.4.1.3].
pub fn stop_aspm(function: &impl FunctionRegisters) -> bool {
    let at = find(function, capability::PCI_EXPRESS).and_then(|at| at.checked_add(express::LINK));
    let Some(at) = at else { return false };
    let control = function.read(at) & express::CONTROL;
    function.write(at, control & !express::ASPM);
    control & express::ASPM != 0
}

/// The version of a PCI Express capability.
fn express_version(function: &impl FunctionRegisters, at: u8) -> u32 {
    function.read(at) >> express::VERSION_SHIFT & express::VERSION_MASK
}

/// The number of the bus below a bridge.
pub fn bus_below(bridge: &impl FunctionRegisters) -> u8 {
    bridge.read(BUS_NUMBERS).to_le_bytes()[1]
}

/// The place of a capability.
fn find(function: &impl FunctionRegisters, wanted: u8) -> Option<u8> {
    if function.read(COMMAND) & HAS_CAPABILITIES == 0 {
        return None;
    }
    let [mut at, ..] = function.read(CAPABILITIES).to_le_bytes();
    for _ in 0..MOST_CAPABILITIES {
        at &= 0xfc;
        if at < 0x40 {
            return None;
        }
        let [id, next, ..] = function.read(at).to_le_bytes();
        if id == wanted {
            return Some(at);
        }
        at = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;
    use std::vec::Vec;

    /// Configuration space, and the writes to it in order.
    struct Space(RefCell<[u32; 64]>, RefCell<Vec<(u8, u32)>>);

    impl FunctionRegisters for Space {
        fn read(&self, offset: u8) -> u32 {
            self.0.borrow()[usize::from(offset / 4)]
        }

        fn write(&self, offset: u8, value: u32) {
            self.0.borrow_mut()[usize::from(offset / 4)] = value;
            self.1.borrow_mut().push((offset, value));
        }
    }

    /// A function with these registers, and capabilities from 0x40 on.
    fn space(registers: &[(u8, u32)]) -> Space {
        let mut all = [0; 64];
        all[1] = HAS_CAPABILITIES;
        all[usize::from(CAPABILITIES / 4)] = 0x40;
        for (offset, value) in registers {
            all[usize::from(offset / 4)] = *value;
        }
        Space(RefCell::new(all), RefCell::default())
    }

    #[test]
    fn a_function_that_sleeps_wakes_with_its_windows() {
        let at =
            |state| [(0x40, 0x01), (0x44, state), (0x04, 0x10_0007), (0x10, 0xfebc_0004), (0x18, 0xc001)];
        let asleep = space(&at(0x8103));
        let saved = wake(&asleep).expect("it slept");
        assert_eq!(asleep.read(0x44), 0x8000, "D0, no wake-up, the event cleared");
        asleep.0.borrow_mut()[4..10].fill(0);
        saved.restore(&asleep);
        assert_eq!([0x10, 0x18, 0x04].map(|offset| asleep.read(offset)), [0xfebc_0004, 0xc001, 7]);
        assert_eq!(asleep.1.borrow().last(), Some(&(0x04, 7)), "decode last");
        assert!(wake(&space(&at(0x0100))).is_none(), "awake");
    }

    #[test]
    fn a_function_that_sleeps_wakes_with_its_payload_and_its_link() {
        let restored = |version: u32| {
            let express = [(0x50, 0x10 | version << 16), (0x58, 0xf_2830), (0x60, 0x5011_0043), (0x78, 5)];
            let asleep = space(&[(0x40, 0x5001), (0x44, 3), (0x04, 0x10_0006)]);
            express.iter().for_each(|(offset, value)| asleep.write(*offset, *value));
            let saved = wake(&asleep).expect("it slept");
            asleep.1.borrow_mut().clear();
            saved.restore(&asleep);
            asleep.1.into_inner().into_iter().filter(|(offset, _)| *offset >= 0x40).collect::<Vec<_>>()
        };
        let words = [(0x58, 0x2830), (0x60, 0x43), (0x78, 5)];
        assert_eq!((restored(2), restored(1)), (words.to_vec(), words[..2].to_vec()), "no status is cleared");
        let asleep = space(&[(0x40, 0x5001), (0x44, 3), (0x50, 0x000a_0007)]);
        wake(&asleep).expect("it slept").restore(&asleep);
        assert!(asleep.1.borrow().contains(&(0x50, 0x000a_0007)), "PCI-X has a command");
    }

    #[test]
    fn aspm_ends_and_the_status_is_not_cleared_with_it() {
        let on = space(&[(0x40, 0x5001), (0x50, 0x2_0010), (0x60, 0xffff_0043)]);
        assert!(stop_aspm(&on));
        assert_eq!(on.1.borrow()[..], [(0x60, 0x0040)]);
        assert!(!stop_aspm(&on) && !stop_aspm(&space(&[])));
    }

    #[test]
    fn long_reads_on_pci_x_are_shortened() {
        let count = |value: u32| {
            let function = space(&[(0x40, 0x07 | value << 18 | 1 << 17)]);
            prepare_bus(&function, false);
            function.read(0x40) >> 18 & 3
        };
        assert_eq!([0, 1, 2, 3].map(count), [0, 1, 2, 2]);
    }

    #[test]
    fn more_patience_is_set_if_nobody_has() {
        let after = |gives_up_early, version: u32, control| {
            let function = space(&[(0x40, 0x10 | version << 16), (0x68, control)]);
            prepare_bus(&function, gives_up_early);
            function.read(0x68)
        };
        assert_eq!((after(true, 2, 0), after(true, 2, 2), after(true, 1, 0)), (5, 2, 0));
        assert_eq!(after(false, 2, 0), 0);
    }

    #[test]
    fn a_damaged_list_of_capabilities_ends() {
        assert_eq!(find(&space(&[(0x40, 0x4005)]), capability::POWER), None);
        assert_eq!(find(&space(&[(0x40, 0x0805)]), capability::POWER), None);
        assert_eq!(find(&Space(RefCell::new([u32::MAX; 64]), RefCell::default()), capability::POWER), None);
    }

    #[test]
    fn the_bus_below_a_bridge_is_found() {
        assert_eq!(bus_below(&space(&[(0x18, 0x0405_0300)])), 3);
    }
}
