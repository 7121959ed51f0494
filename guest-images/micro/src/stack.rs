//! A minimal network host: answers ARP and ICMP echo requests, sends and receives UDP datagrams.

use crate::e1000::Nic;
use crate::net::{self, Ends, Ipv4, Mac, Packet};
use crate::{Boot, Failed, apic, ensure, line, pic, processor};

/// Timer interrupts per second; they bound all waits.
pub const HERTZ: u32 = 100;

/// Counters of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received, of any kind.
    pub received: u32,
    /// Frames queued to the NIC.
    pub sent: u32,
    /// ARP requests answered.
    pub arp: u32,
    /// Echo requests answered.
    pub echo: u32,
    /// Datagrams received.
    pub datagrams: u32,
    /// Frames with a wrong checksum or length.
    pub broken: u32,
}

/// A received datagram; [`Host::payload`] returns its payload.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Both ends, from the sender's view.
    pub ends: Ends,
    /// Source port, destination port.
    pub ports: (u16, u16),
    length: usize,
}

/// The meaning of a received frame for the program.
enum Event {
    Datagram(Datagram),
    Neighbour(Ipv4, Mac),
    EchoReply { from: Ipv4, sequence: u16 },
    Nothing,
}

/// The host.
pub struct Host {
    /// Its NIC.
    pub nic: Nic,
    /// Its IPv4 address.
    pub ip: Ipv4,
    /// Its counters.
    pub counters: Counters,
    payload: [u8; net::UDP_OVERHEAD + 1514],
}

impl Host {
    /// Starts the interrupt controllers, the timer and the NIC. The command line must contain `ip=`.
    ///
    /// # Errors
    /// After a `FAIL` line.
    pub fn start(boot: &Boot) -> Result<Self, Failed> {
        let ip = boot.command_line.address("ip");
        ensure!(ip.is_some(), "the command line has no ip=a.b.c.d");
        pic::start();
        apic::start();
        pic::start_timer(HERTZ);
        let nic = Nic::start()?;
        let host =
            Self { nic, ip: ip.unwrap_or_default(), counters: Counters::default(), payload: [0; 1556] };
        let [a, b, c, d, e, f] = host.nic.mac;
        line!("READY {} {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}", host.ip);
        Ok(host)
    }

    /// Returns the payload of the datagram that was received last.
    #[must_use]
    pub fn payload(&self, datagram: Datagram) -> &[u8] {
        &self.payload[..datagram.length]
    }

    /// Processes received frames up to the next datagram, or until none is left.
    pub fn poll(&mut self) -> Option<Datagram> {
        loop {
            if let Event::Datagram(datagram) = self.take()? {
                return Some(datagram);
            }
        }
    }

    /// Waits for a datagram for at most `ticks` timer ticks.
    pub fn wait(&mut self, ticks: u32) -> Option<Datagram> {
        let start = pic::ticks();
        loop {
            if let Some(datagram) = self.poll() {
                return Some(datagram);
            }
            if pic::ticks().wrapping_sub(start) >= ticks {
                return None;
            }
            processor::sleep();
        }
    }

    /// Processes a received frame, if there is one.
    fn take(&mut self) -> Option<Event> {
        let mut frame = [0; 2048];
        let length = self.nic.receive(&mut frame)?;
        self.counters.received += 1;
        let event = match net::parse(&frame[..length]) {
            Packet::ArpRequest(ends) if ends.to.1 == self.ip => {
                self.counters.arp += 1;
                let answer = Ends { from: (self.nic.mac, self.ip), to: ends.from };
                self.send(|into| net::write_arp(into, answer, true));
                Event::Neighbour(ends.from.1, ends.from.0)
            }
            Packet::ArpReply(ends) => Event::Neighbour(ends.from.1, ends.from.0),
            Packet::Echo { ends, reply: false, rest } if ends.to.1 == self.ip => {
                self.counters.echo += 1;
                self.send(|into| net::write_echo(into, ends.swapped(), true, rest));
                Event::Nothing
            }
            Packet::Echo { ends, reply: true, rest } if ends.to.1 == self.ip && rest.len() >= 4 => {
                Event::EchoReply { from: ends.from.1, sequence: u16::from_be_bytes([rest[2], rest[3]]) }
            }
            Packet::Udp { ends, ports, payload } if ends.to.1 == self.ip => {
                self.counters.datagrams += 1;
                self.payload[..payload.len()].copy_from_slice(payload);
                Event::Datagram(Datagram { ends, ports, length: payload.len() })
            }
            Packet::Broken => {
                self.counters.broken += 1;
                Event::Nothing
            }
            _ => Event::Nothing,
        };
        Some(event)
    }

    /// Queues a frame; waits for a free descriptor, and returns false if there is none for a second.
    pub fn send(&mut self, write: impl FnOnce(&mut [u8; 1514]) -> usize) -> bool {
        let mut frame = [0; 1514];
        let length = write(&mut frame);
        let start = pic::ticks();
        while !self.nic.send(&frame[..length]) {
            if pic::ticks().wrapping_sub(start) >= HERTZ {
                return false;
            }
            processor::take_interrupts();
        }
        self.counters.sent += 1;
        true
    }

    /// Sends a datagram from one of this host's ports.
    pub fn send_datagram(&mut self, to: (Mac, Ipv4), ports: (u16, u16), payload: &[u8]) -> bool {
        let ends = Ends { from: (self.nic.mac, self.ip), to };
        self.send(|into| net::write_udp(into, ends, ports, payload))
    }

    /// Resolves a neighbour's MAC address by ARP; sends up to `tries` requests and waits one second for each
    /// answer.
    pub fn resolve(&mut self, neighbour: Ipv4, tries: u32) -> Option<Mac> {
        let ends = Ends { from: (self.nic.mac, self.ip), to: ([0; 6], neighbour) };
        (0..tries).find_map(|_| {
            self.send(|into| net::write_arp(into, ends, false));
            self.until(HERTZ, |event| match event {
                Event::Neighbour(ip, mac) if ip == neighbour => Some(mac),
                _ => None,
            })
        })
    }

    /// Pings a neighbour `count` times, waiting one second for each answer; returns the number of answers.
    pub fn ping(&mut self, to: (Mac, Ipv4), count: u16) -> u16 {
        let ends = Ends { from: (self.nic.mac, self.ip), to };
        let answered = (0..count).filter(|&number| {
            let [high, low] = number.to_be_bytes();
            self.send(|into| {
                net::write_echo(into, ends, false, &[0x57, 0x45, high, low, b'm', b'i', b'c', b'r', b'o'])
            });
            self.until(HERTZ, |event| match event {
                Event::EchoReply { from, sequence } if from == to.1 && sequence == number => Some(()),
                _ => None,
            })
            .is_some()
        });
        answered.map(|_| 1).sum()
    }

    /// Processes frames for at most `ticks` timer ticks, until one is wanted.
    fn until<T>(&mut self, ticks: u32, wanted: impl Fn(Event) -> Option<T>) -> Option<T> {
        let start = pic::ticks();
        loop {
            while let Some(event) = self.take() {
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            if pic::ticks().wrapping_sub(start) >= ticks {
                return None;
            }
            processor::sleep();
        }
    }

    /// Prints the counters on one line.
    pub fn print_counters(&self) {
        let Counters { received, sent, arp, echo, datagrams, broken } = self.counters;
        line!(
            "COUNTERS received={received} sent={sent} arp={arp} echo={echo} datagrams={datagrams} broken={broken}"
        );
    }
}
