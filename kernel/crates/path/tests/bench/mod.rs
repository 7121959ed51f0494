//! A switch between two guests and the wire, with queues as ports.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod team;

use base::time::Duration;
use base::{Effects, Instant, MacAddress, Port};
use path::{PortConfig, PortCounters, PortId, Progress};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

/// Ports 0 and 1 are guests with addresses 0 and 1; port 2 is the uplink, with station 9 behind it.
pub struct Bench {
    pub lan: Lan,
    pub ports: [QueuePort; 3],
}

impl Bench {
    pub fn new() -> Self {
        let ports = [PortConfig::guest(mac(0)), PortConfig::guest(mac(1)), PortConfig::uplink()];
        let mut bench = Self { lan: Lan::new(&ports, 1).unwrap(), ports: Default::default() };
        bench.ports[2].arrive(&numbered(mac(0), mac(9), 0, 60));
        bench.lan.interrupt();
        bench.run(0);
        assert_eq!(bench.ports[0].take_sent().len(), 1);
        bench
    }

    pub fn arrive(&mut self, ingress: usize, destination: MacAddress, numbers: std::ops::Range<u32>) {
        let source = if ingress == 2 { mac(9) } else { mac(ingress as u8) };
        for number in numbers {
            self.ports[ingress].arrive(&numbered(destination, source, number, 60));
        }
        self.lan.signal(ingress, Effects::TX_KICK);
    }

    /// The port accepts `space` frames from now on.
    pub fn make_room(&mut self, port: usize, space: usize) {
        self.ports[port].space = space;
        self.lan.signal(port, Effects::RX_SPACE);
    }

    /// Does all that there is a reason for at this time.
    pub fn run(&mut self, nanos: u64) -> Progress {
        let [a, b, c] = &mut self.ports;
        self.lan.run(&mut [a as &mut dyn Port, b, c], Instant(nanos))
    }

    pub fn sent(&mut self, port: usize) -> Vec<u32> {
        self.ports[port].take_sent().iter().map(|frame| number_of(frame).unwrap()).collect()
    }

    pub fn counters(&self, port: usize) -> PortCounters {
        *self.lan.switch.counters(PortId::new(port).unwrap()).unwrap()
    }
}

/// True if nothing was moved.
pub fn is_idle(progress: Progress) -> bool {
    (progress.polled, progress.delivered, progress.dropped) == (0, 0, 0)
}

pub fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
