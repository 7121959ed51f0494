//! Faults of a NIC that QEMU emulates, by its monitor: what the machine's PCI configuration space and its hot-plug
//! controller would let any program do.
//!
//! QEMU reads zeros where no device answers, and a real machine all ones. So a device with a read-only memory full of ones
//! is put in the place of a NIC that does not answer any more.

use crate::failure::ErrorContext;
use crate::qemu::{FIRST_NIC, Qemu};
use crate::{Failure, Outcome};
use std::fs;
use std::path::Path;

/// The ports of PCI configuration [PCI 3.0 3.2.2.3].
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// The command register's offset, and its bits.
const COMMAND: u32 = 4;
const MEMORY_SPACE: u32 = 1 << 1;
const BUS_MASTER: u32 = 1 << 2;
/// Where a NIC has the address of its registers, and the device of ones that of its memory, in 64 bits.
const REGISTERS: u32 = 0x10;
const ONES_MEMORY: u32 = 0x18;
/// The device number of the ones, and how many bytes there are: as many as a NIC has registers.
const ONES: u32 = 0x1b;
const ONES_LENGTH: usize = 128 << 10;
/// The ports of the 440FX machine's hot-plug controller that select a bus and take a device from it
/// [QEMU docs/specs/acpi_pci_hotplug.rst].
const HOTPLUG_SELECT: u16 = 0xae10;
const HOTPLUG_EJECT: u16 = 0xae08;

/// QEMU's arguments for the device of ones, whose contents are written to a folder.
///
/// # Errors
/// The file cannot be written.
pub fn device_of_ones(folder: &Path) -> Outcome<Vec<String>> {
    let path = std::path::absolute(folder).context("the folder's path")?.join("ones.bin");
    fs::write(&path, vec![0xff; ONES_LENGTH]).context("ones.bin")?;
    let path = path.display().to_string().replace(',', ",,");
    let memory =
        format!("memory-backend-file,id=ones,size={ONES_LENGTH},mem-path={path},readonly=on,rom=on,share=on");
    let device = format!("ivshmem-plain,memdev=ones,addr={ONES:02x}.0");
    Ok(["-object", &memory, "-device", &device].map(str::to_owned).to_vec())
}

/// What is wrong with a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicFault {
    /// It has no access to memory: its registers answer, and it moves no frame.
    NoDma,
    /// Its registers read as all ones, and what is written to them is lost. The machine has the device of ones:
    /// [`faulty_nics`](crate::machine::EmulatedMachine::faulty_nics).
    AllOnes,
}

impl Qemu {
    /// Makes a NIC faulty, or sound again. It must be on bus 0.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn set_fault(&mut self, nic: usize, fault: Option<NicFault>) -> Outcome {
        let nic = device_of(nic)?;
        let at_nic = match fault {
            None => MEMORY_SPACE | BUS_MASTER,
            Some(NicFault::NoDma) => MEMORY_SPACE,
            Some(NicFault::AllOnes) => BUS_MASTER,
        };
        let replaced = fault == Some(NicFault::AllOnes);
        if replaced {
            if self.configuration(ONES, 0)? == u32::MAX {
                return Err(Failure::Wrong("the machine has no device of ones: set faulty_nics".into()));
            }
            let registers = self.configuration(nic, REGISTERS)? & !0xf;
            self.configure(ONES, ONES_MEMORY, registers)?;
            self.configure(ONES, ONES_MEMORY + 4, 0)?;
        }
        self.command(ONES, if replaced { MEMORY_SPACE } else { 0 })?;
        self.command(nic, at_nic)
    }

    /// Lets a device on bus 0 have this of memory space and bus mastering.
    fn command(&mut self, device: u32, bits: u32) -> Outcome {
        let others = self.configuration(device, COMMAND)? & 0xffff & !(MEMORY_SPACE | BUS_MASTER);
        self.configure(device, COMMAND, others | bits)
    }

    /// Takes a NIC off bus 0 of a 440FX machine without asking what runs there: it asks for that, and gives the answer
    /// itself.
    ///
    /// # Errors
    /// QEMU refuses, or does not answer.
    pub fn remove_nic(&mut self, nic: usize) -> Outcome {
        self.human(&format!("device_del nic{nic}"))?;
        self.outl(HOTPLUG_SELECT, 0)?;
        self.outl(HOTPLUG_EJECT, 1 << device_of(nic)?)
    }

    fn outl(&mut self, port: u16, value: u32) -> Outcome {
        self.human(&format!("o /w {port:#x} {value:#x}")).map(drop)
    }

    /// A register of the configuration space of a device on bus 0.
    fn configuration(&mut self, device: u32, register: u32) -> Outcome<u32> {
        self.outl(ADDRESS, configuration_address(device, register))?;
        let answer = self.human(&format!("i /w {DATA:#x}"))?;
        value_in(&answer).ok_or_else(|| Failure::Wrong(format!("QEMU's monitor reads a port: {answer}")))
    }

    fn configure(&mut self, device: u32, register: u32, value: u32) -> Outcome {
        self.outl(ADDRESS, configuration_address(device, register))?;
        self.outl(DATA, value)
    }
}

/// The device number of a NIC on bus 0.
fn device_of(nic: usize) -> Outcome<u32> {
    let device = u32::try_from(FIRST_NIC + nic).ok().filter(|device| *device < ONES);
    device.ok_or_else(|| Failure::Wrong(format!("there is no nic{nic} on bus 0")))
}

fn configuration_address(device: u32, register: u32) -> u32 {
    0x8000_0000 | device << 11 | register
}

/// The value in an answer such as `{"return": "portl[0x0cfc] = 0x00100107\r\n"}`.
fn value_in(answer: &str) -> Option<u32> {
    let digits: String = answer.split_once(" = 0x")?.1.chars().take_while(char::is_ascii_hexdigit).collect();
    u32::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_port_is_read_from_the_monitors_answer() {
        assert_eq!(value_in(r#"{"return": "portl[0x0cfc] = 0x00100107\r\n"}"#), Some(0x10_0107));
        assert_eq!(value_in(r#"{"return": ""}"#), None);
    }
}
