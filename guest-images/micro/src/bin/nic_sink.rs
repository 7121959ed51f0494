//! Receives the numbered datagrams of `nic_blast` or of the test's host, and checks that each one arrives once,
//! undamaged and in order.
#![no_std]
#![no_main]

use micro::numbered::{Fault, LAST, PORT, Sequence, is_acknowledged};
use micro::stack::{HERTZ, Host};
use micro::{Boot, Verdict, ensure, line};

micro::guest!("nic_sink", main);

/// Timeout for the next datagram, in seconds.
const SILENCE_TIMEOUT: u32 = 120;
/// Number of faults that are printed; all are counted.
const FAULTS_SHOWN: u32 = 8;

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let mut sequence = Sequence::default();
    let mut faults = 0;
    loop {
        let datagram = host.wait(SILENCE_TIMEOUT * HERTZ);
        ensure!(datagram.is_some(), "silence after {} datagrams", sequence.next());
        let Some(datagram) = datagram.filter(|datagram| datagram.ports.1 == PORT) else { continue };
        let back = datagram.ends.swapped();
        let acknowledge = match sequence.take(host.payload(datagram)) {
            Ok(next) if !is_acknowledged(next) => continue,
            Ok(next) => next,
            Err(Fault::End { count }) => {
                host.send_datagram(back.to, (PORT, datagram.ports.0), &LAST.to_be_bytes());
                host.print_counters();
                ensure!(
                    sequence.next() == count,
                    "the last of {count} datagrams are missing from {}",
                    sequence.next()
                );
                ensure!(faults == 0, "{faults} faults among {count} datagrams");
                return Ok(());
            }
            Err(fault) => {
                faults += 1;
                if faults <= FAULTS_SHOWN {
                    line!("fault: {fault:?}");
                }
                sequence.next()
            }
        };
        host.send_datagram(back.to, (PORT, datagram.ports.0), &acknowledge.to_be_bytes());
    }
}
