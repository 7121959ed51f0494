//! Faults of a NIC that QEMU emulates, by its monitor: what the machine's PCI configuration space and its hot-plug
//! controller would let any program do.

use crate::qemu::{FIRST_NIC, Qemu};
use crate::{Failure, Outcome};

/// The ports of PCI configuration [PCI Local Bus 3.2.2.3].
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// The command register's offset, and its bits.
const COMMAND: usize = 4;
const MEMORY_SPACE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
/// The ports of the 440FX machine's hot-plug controller that select a bus and take a device from it
/// [QEMU docs/specs/acpi_pci_hotplug.rst].
const HOTPLUG_SELECT: u16 = 0xae10;
const HOTPLUG_EJECT: u16 = 0xae08;

/// What is wrong with a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicFault {
    /// It has no access to memory: its registers answer, and it moves no frame.
    NoDma,
    /// Its registers read as all ones, and what is written to them is lost.
    AllOnes,
}

impl Qemu {
    /// Makes a NIC faulty, or sound again. It must be on bus 0.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn set_fault(&mut self, nic: usize, fault: Option<NicFault>) -> Outcome {
        self.outl(ADDRESS, configuration_address(nic))?;
        let command = self.inw(DATA)? | MEMORY_SPACE | BUS_MASTER;
        let command = match fault {
            None => command,
            Some(NicFault::NoDma) => command & !BUS_MASTER,
            Some(NicFault::AllOnes) => command & !MEMORY_SPACE,
        };
        self.human(&format!("o /2 {DATA:#x} {command:#x}")).map(drop)
    }

    /// Takes a NIC off bus 0 of a 440FX machine without asking what runs there: it asks for that, and gives the answer
    /// itself.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn remove_nic(&mut self, nic: usize) -> Outcome {
        self.human(&format!("device_del nic{nic}"))?;
        self.outl(HOTPLUG_SELECT, 0)?;
        self.outl(HOTPLUG_EJECT, 1 << (FIRST_NIC + nic))
    }

    fn outl(&mut self, port: u16, value: u32) -> Outcome {
        self.human(&format!("o /4 {port:#x} {value:#x}")).map(drop)
    }

    fn inw(&mut self, port: u16) -> Outcome<u16> {
        let answer = self.human(&format!("i /2 {port:#x}"))?;
        value_in(&answer).ok_or_else(|| Failure::Wrong(format!("QEMU's monitor reads a port: {answer}")))
    }
}

/// The address of the command register of a NIC on bus 0.
fn configuration_address(nic: usize) -> u32 {
    0x8000_0000 | ((FIRST_NIC + nic) << 11 | COMMAND) as u32
}

/// The value in an answer such as `{"return": "portw[0x0cfc] = 0x0107\r\n"}`.
fn value_in(answer: &str) -> Option<u16> {
    let digits: String = answer.split_once(" = 0x")?.1.chars().take_while(char::is_ascii_hexdigit).collect();
    u16::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_port_is_read_from_the_monitors_answer() {
        assert_eq!(value_in(r#"{"return": "portw[0x0cfc] = 0x0107\r\n"}"#), Some(0x107));
        assert_eq!(value_in(r#"{"return": ""}"#), None);
    }

    #[test]
    fn nics_follow_each_other_on_the_first_bus() {
        assert_eq!([0, 1].map(configuration_address), [0x8000_2004, 0x8000_2804]);
    }
}
