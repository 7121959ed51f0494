//! Tests interrupts that a processor sends to itself, in xAPIC and in x2APIC mode, and that the local APIC keeps
//! its state when the mode changes.
#![no_std]
#![no_main]

use micro::apic::{self, Register};
use micro::{Boot, Verdict, ensure, line, mmio, pic, processor, trap};

micro::guest!("interrupt_self", main);

const FIRST: u8 = 0x50;
const SECOND: u8 = 0x71;
const THIRD: u8 = 0x82;

fn main(_: &Boot) -> Verdict {
    pic::start();
    apic::start();
    let version = apic::read(Register::Version);
    ensure!(version & 0xff >= 0x10, "local APIC version {version:#x}");
    apic::interrupt_self(FIRST);
    ensure!(trap::count(FIRST) == 0, "xAPIC: taken while interrupts are off");
    processor::take_interrupts();
    ensure!(trap::count(FIRST) == 1, "xAPIC: {} interrupts", trap::count(FIRST));

    // The task priority blocks lower vectors [SDM3A 11.8.3.1].
    apic::write(Register::TaskPriority, 0x60);
    apic::interrupt_self(FIRST);
    apic::interrupt_self(SECOND);
    processor::take_interrupts();
    ensure!(trap::count(SECOND) == 1, "priority: the higher vector was not taken");
    ensure!(trap::count(FIRST) == 1, "priority: the lower vector was taken");
    ensure!(
        processor::read_cr8() == 6,
        "CR8 is {}, not bits 7:4 of the task priority",
        processor::read_cr8()
    );
    processor::write_cr8(0);
    ensure!(apic::read(Register::TaskPriority) == 0, "CR8 does not set the task priority");
    processor::take_interrupts();
    ensure!(trap::count(FIRST) == 2, "priority: the lower vector was lost");
    // One that arrives after CR8 was written is held back, too, and taken as soon as CR8 is low enough.
    processor::write_cr8(6);
    ensure!(apic::read(Register::TaskPriority) == 0x60, "CR8 does not raise the task priority");
    apic::interrupt_self(FIRST);
    processor::take_interrupts();
    ensure!(trap::count(FIRST) == 2, "CR8: the vector was taken");
    processor::enable_interrupts();
    processor::write_cr8(0);
    processor::relax();
    processor::disable_interrupts();
    ensure!(trap::count(FIRST) == 3, "CR8: the vector was not taken at once");
    line!("xAPIC");

    ensure!(apic::has_x2apic(), "CPUID lists no x2APIC mode");
    apic::use_x2apic();
    ensure!(apic::read(Register::Version) == version, "x2APIC: another version");
    ensure!(mmio::read_dword(0xfee0_0030) != version, "x2APIC: the memory window still answers");
    apic::write(Register::SelfIpi, THIRD.into());
    processor::sleep();
    ensure!(trap::count(THIRD) == 1, "x2APIC: {} interrupts", trap::count(THIRD));
    apic::interrupt_self(FIRST);
    processor::take_interrupts();
    ensure!(trap::count(FIRST) == 4, "x2APIC: no interrupt by the command register");
    Ok(())
}
