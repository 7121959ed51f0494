//! Gives its NIC rings and buffers outside the guest's memory, and checks that the NIC works again after a reset.
#![no_std]
#![no_main]

use micro::e1000::register::{RDBAH, RDBAL, RDT, TDBAH, TDBAL, TDT};
use micro::stack::Host;
use micro::{Boot, Verdict, ensure, line, processor};

micro::guest!("descriptor_outside", main);

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let peer = boot.command_line.address("peer");
    ensure!(peer.is_some(), "the command line has no peer=a.b.c.d");
    let peer = peer.unwrap_or_default();
    // Beyond the end of memory, across it, the local APIC, the NIC itself, the end of the address space.
    let outside = [
        boot.memory_end + 0x10_0000,
        boot.memory_end - 8,
        0xfee0_0000,
        host.nic.window(),
        0xffff_ffff_ffff_f000,
    ];

    for buffer in outside {
        host.nic.send_from(buffer, 1514);
        host.nic.receive_to(buffer);
        // If the request is still sent, its answer is received into that buffer.
        let _ = host.resolve(peer, 1);
        host.nic.initialise()?;
    }
    line!("buffers outside memory survived");

    for base in outside {
        for (low, high, tail) in [(TDBAL, TDBAH, TDT), (RDBAL, RDBAH, RDT)] {
            let (base_low, base_high) = processor::halves(base);
            host.nic.write(low, base_low);
            host.nic.write(high, base_high);
            host.nic.write(tail, 7);
            processor::sleep();
        }
        host.nic.initialise()?;
    }
    line!("rings outside memory survived");

    let mac = host.resolve(peer, 10);
    ensure!(mac.is_some(), "{peer} does not answer after the reset");
    Ok(())
}
