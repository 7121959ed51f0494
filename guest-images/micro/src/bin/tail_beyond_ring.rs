//! Writes tails, heads and lengths that are invalid for its rings, and checks that its NIC works again after a
//! reset.
#![no_std]
#![no_main]

use micro::e1000::register::{RDH, RDLEN, RDT, TDH, TDLEN, TDT};
use micro::stack::Host;
use micro::{Boot, Verdict, ensure, line, processor};

micro::guest!("tail_beyond_ring", main);

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let peer = boot.command_line.address("peer");
    ensure!(peer.is_some(), "the command line has no peer=a.b.c.d");
    let peer = peer.unwrap_or_default();

    let (tx, rx) = (host.nic.tx_descriptors(), host.nic.rx_descriptors());
    for (tail, head, length, descriptors) in [(TDT, TDH, TDLEN, tx), (RDT, RDH, RDLEN, rx)] {
        for value in [descriptors, descriptors + 1, 0xffff, 0x7fff_ffff, u32::MAX] {
            host.nic.write(tail, value);
            processor::sleep();
            host.nic.write(head, value);
            host.nic.write(tail, 1);
            processor::sleep();
        }
        for value in [0, 8, 127, u32::MAX] {
            host.nic.write(length, value);
            host.nic.write(tail, 5);
            processor::sleep();
        }
        line!("register {tail:#x} survived");
    }

    host.nic.initialise()?;
    let mac = host.resolve(peer, 10);
    ensure!(mac.is_some(), "{peer} does not answer after the reset");
    Ok(())
}
