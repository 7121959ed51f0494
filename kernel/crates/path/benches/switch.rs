//! The switch's part in the way of a frame, by the host's clock: what it decides about frames that nobody is to get
//! (`decide`), and the whole way from one port to another (`forward`), with ports that cost next to nothing. A measurement is
//! of 16 frames.

use base::{Capabilities, Instant, LentFrame, MacAddress, Outbox, Port, Put, Ticket};
use divan::{Bencher, black_box, counter::ItemsCount};
use path::{PortConfig, PortId, Switch};
use testkit::frame::{mac, numbered};

const FRAMES: usize = 16;
/// Ports of guests; the last port is the wire's.
const GUESTS: usize = 8;

fn main() {
    divan::main();
}

/// Sends the same frame for ever; makes use of what it is given at once, or keeps it until it is asked for it.
#[derive(Default)]
struct CheapPort {
    frame: Vec<u8>,
    keeps: bool,
    kept: Vec<Ticket>,
}

impl Port for CheapPort {
    fn capabilities(&mut self) -> Capabilities {
        Capabilities { max_frame: 1514, link_up: true, segments: false, takes_segments: false }
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, _now: Instant) -> usize {
        let add = |_: &usize| {
            into.add(0, |new| {
                new.head(self.frame.len()).copy_from_slice(&self.frame);
                true
            })
        };
        (0..budget).take_while(add).count()
    }

    fn settle(&mut self, outbox: &mut Outbox, _now: Instant) {
        while outbox.finished(|_, _| ()).is_some() {}
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, _now: Instant) -> Put {
        black_box(frame);
        if self.keeps {
            self.kept.push(ticket);
            return Put::Kept;
        }
        Put::Done(ticket)
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), _now: Instant) -> usize {
        self.kept.drain(..).map(done).count()
    }

    fn flush(&mut self, _now: Instant) {}
}

/// The number of a guest's address.
fn number(guest: usize) -> u8 {
    guest.to_le_bytes()[0]
}

/// Sixteen frames from the first guest to this address.
fn switch(bencher: Bencher, destination: MacAddress, delivered: usize) {
    let mut configs: Vec<_> = (0..GUESTS).map(|guest| PortConfig::guest(mac(number(guest)))).collect();
    configs.push(PortConfig::uplink());
    let mut switch = Switch::new(&configs, 1).expect("a switch");
    let mut ports: Vec<CheapPort> = configs.iter().map(|_| CheapPort::default()).collect();
    ports[0].frame = numbered(destination, mac(0), 7, 60);
    ports[GUESTS].keeps = true;
    let ingress = PortId::new(0).expect("a port");
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        let progress = switch.take_from(ingress, black_box(&mut ports), FRAMES, Instant(1_000_000));
        assert_eq!((progress.polled, progress.delivered), (FRAMES, delivered));
    });
}

/// To the sender itself: the decision alone, and what each batch costs.
#[divan::bench]
fn decide(bencher: Bencher) {
    switch(bencher, mac(0), 0);
}

/// To another guest, which takes a copy.
#[divan::bench]
fn forward_to_guest(bencher: Bencher) {
    switch(bencher, mac(number(GUESTS - 1)), FRAMES);
}

/// To an address on the wire, whose NIC keeps the frames until it is asked.
#[divan::bench]
fn forward_to_wire(bencher: Bencher) {
    switch(bencher, mac(99), FRAMES);
}

/// To all.
#[divan::bench]
fn forward_to_all(bencher: Bencher) {
    switch(bencher, MacAddress::BROADCAST, FRAMES * GUESTS);
}
