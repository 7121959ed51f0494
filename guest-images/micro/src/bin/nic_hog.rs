//! Gives its NIC as much work as a write of a register can, and does so again and again, beginning `after=` hundredths of
//! a second after its start. What kind of work, `work=` says:
//!
//! * `segments`: packets of 59 descriptors that are to be cut into segments of one byte;
//! * `frames`, `broadcasts`: a ring of 32,766 frames of 60 bytes, to a station that does not exist, or to all;
//! * `fragments`: a ring of 32,766 empty fragments of a packet without an end;
//! * `nulls`: a receive ring of 32,766 descriptors without a buffer, given back as soon as they are used;
//! * `full`: a receive ring of 8 descriptors of which none is free. The guest sleeps.
#![no_std]
#![no_main]

use micro::descriptor::{EOP, IFCS};
use micro::e1000::Nic;
use micro::e1000::register::{RDBAL, RDH, RDLEN, RDT, TDBAL, TDH, TDLEN, TDT};
use micro::{Boot, Verdict, apic, descriptor, ensure, line, load, mmio, pic, processor};

micro::guest!("nic_hog", main);

/// A multiple of 60, the number of descriptors of a packet that is cut, and its size a multiple of 128 bytes.
const DESCRIPTORS: u32 = 32_760;
const DESCRIPTOR: u32 = 16;
/// Addresses of ring and buffer, in memory that nothing else uses.
const RING: u32 = 0x0100_0000;
const BUFFER: u32 = 0x0110_0000;
/// A station that does not exist.
const NOBODY: u32 = 99;

fn main(boot: &Boot) -> Verdict {
    let work = boot.command_line.value("work").unwrap_or("frames");
    pic::start();
    apic::start();
    wait(boot.command_line.number("after", 0));
    let nic = Nic::start()?;
    let to = if work == "broadcasts" { [0xff; 6] } else { load::station(NOBODY) };
    let mut head = [0; 60];
    load::write_head(&mut head, to, nic.mac);
    mmio::write_bytes(BUFFER.into(), &head);
    let (descriptor, receives): (fn(u32) -> [u64; 2], bool) = match work {
        "segments" => (|index| descriptor::cut(index, BUFFER.into()), false),
        "frames" | "broadcasts" => (|_| [BUFFER.into(), 60 | EOP | IFCS], false),
        "fragments" => (|_| [BUFFER.into(), IFCS], false),
        "nulls" => (|_| [0; 2], true),
        "full" => {
            for (register, value) in [(RDT, 0), (RDH, 0), (RDLEN, 8 * DESCRIPTOR)] {
                nic.write(register, value);
            }
            line!("GO {work}");
            loop {
                processor::sleep();
            }
        }
        other => {
            ensure!(false, "work={other} is unknown");
            return Ok(());
        }
    };
    for index in 0..DESCRIPTORS {
        let at = u64::from(RING + index * DESCRIPTOR);
        let [low, high] = descriptor(index);
        mmio::write_qword(at, low);
        mmio::write_qword(at + 8, high);
    }
    let [base, length, first, last] =
        if receives { [RDBAL, RDLEN, RDH, RDT] } else { [TDBAL, TDLEN, TDH, TDT] };
    for (register, value) in [(last, 0), (first, 0), (base, RING), (length, DESCRIPTORS * DESCRIPTOR)] {
        nic.write(register, value);
    }
    line!("GO {work}");
    loop {
        let used = nic.read(first);
        nic.write(last, (used + DESCRIPTORS - 1) % DESCRIPTORS);
    }
}

/// Sleeps for this many hundredths of a second.
fn wait(hundredths: u32) {
    if hundredths == 0 {
        return;
    }
    pic::start_timer(100);
    while pic::ticks() < hundredths {
        processor::sleep();
    }
    pic::mask(pic::TIMER);
}
