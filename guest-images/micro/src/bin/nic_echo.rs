//! A host that answers ARP and ping, and echoes datagrams to port 7 [RFC 862]. A datagram to port 9 is a command:
//! `counters` prints the counters, `stop` ends the guest.
#![no_std]
#![no_main]

use micro::stack::{HERTZ, Host};
use micro::{Boot, Verdict, line};

micro::guest!("nic_echo", main);

const ECHO: u16 = 7;
const CONTROL: u16 = 9;

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    loop {
        let Some(datagram) = host.wait(HERTZ) else { continue };
        let back = datagram.ends.swapped();
        let (from, to) = datagram.ports;
        let mut copy = [0; 1514];
        let payload = host.payload(datagram);
        let length = payload.len();
        copy[..length].copy_from_slice(payload);
        match (to, &copy[..length]) {
            (ECHO, payload) => {
                host.send_datagram(back.to, (ECHO, from), payload);
            }
            (CONTROL, b"counters") => host.print_counters(),
            (CONTROL, b"stop") => {
                host.print_counters();
                return Ok(());
            }
            (port, _) => line!("a datagram to port {port}"),
        }
    }
}
