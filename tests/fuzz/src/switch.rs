//! The switch: arbitrary frames on several ports with back-pressure.

use crate::Input;
use base::{Effects, Instant, MacAddress, Port};
use path::{Attachment, PortConfig, PortId, Switch};
use testkit::{Lan, QueuePort};

/// A port count, then frames, steps, and changes of room and link.
///
/// # Panics
/// When a frame is neither delivered, dropped and counted, nor waiting; when one returns to the port it came
/// from; or when one goes from uplink to uplink.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let count = 2 + input.below(4) as usize;
    let uplinks = 1 + input.below(2) as usize;
    let configs: Vec<_> = (0..count)
        .map(|n| if n < uplinks { PortConfig::uplink() } else { PortConfig::guest(mac(n as u8)) })
        .collect();
    let mut lan = Lan::new(&configs, input.u64()).expect("the ports are valid");
    let mut ports: Vec<_> = (0..count).map(|_| QueuePort::new()).collect();
    let mut now = Instant::ZERO;
    let mut arrived = 0;
    while !input.is_empty() {
        let number = input.below(count as u64) as usize;
        match input.u8() % 8 {
            0..4 => {
                ports[number].arrive(&frame(&mut input, number as u8));
                arrived += 1;
                lan.signal(number, Effects::TX_KICK);
            }
            4 => {
                ports[number].space = input.below(8) as usize;
                lan.signal(number, Effects::RX_SPACE);
            }
            5 => ports[number].capabilities.link_up ^= true,
            6 => now = Instant(now.0.saturating_add(input.number(5))),
            _ => run(&mut lan, &mut ports, now),
        }
    }
    // With room, nothing stays behind. A port whose link is down takes what there is for it, and drops it.
    for (number, port) in ports.iter_mut().enumerate() {
        port.space = usize::MAX;
        lan.signal(number, Effects::RX_SPACE);
    }
    run(&mut lan, &mut ports, now);
    check(&lan.switch, &ports, &configs, arrived);
}

fn run(lan: &mut Lan, ports: &mut [QueuePort], now: Instant) {
    let mut list: Vec<&mut dyn Port> = ports.iter_mut().map(|port| port as &mut dyn Port).collect();
    lan.run(&mut list, now);
}

fn check(path: &Switch, ports: &[QueuePort], configs: &[PortConfig], arrived: usize) {
    let ids = || (0..ports.len()).filter_map(PortId::new);
    assert!(ports.iter().all(|port| port.incoming.is_empty()));
    assert!(ids().all(|id| path.pending(id) == 0));
    let counted: u64 = ids().filter_map(|id| path.counters(id)).map(|counters| counters.rx_frames).sum();
    assert_eq!(counted, arrived as u64);
    for (number, port) in ports.iter().enumerate() {
        let sent = path.counters(PortId::new(number).expect("few ports")).map(|counters| counters.tx_frames);
        assert_eq!(sent, Some(port.sent.len() as u64));
        for frame in &port.sent {
            // The last byte of every frame says where it came from.
            let from = usize::from(*frame.last().expect("no empty frame is delivered"));
            assert_ne!(from, number, "a frame came back");
            let uplink = |n: usize| configs[n].attachment == Attachment::Uplink;
            assert!(!(uplink(from) && uplink(number)), "a frame crossed between uplinks");
        }
    }
}

fn mac(number: u8) -> MacAddress {
    testkit::frame::mac(number)
}

/// A frame of any length that ends with the number of the port it comes from.
fn frame(input: &mut Input, from: u8) -> Vec<u8> {
    let shape = input.u8();
    let mut frame = match shape % 4 {
        0 => Vec::new(),
        1 => [&[0xff; 6][..], &mac(from).0, &[8, 0]].concat(),
        _ => [&mac(shape >> 2 & 7).0[..], &mac(shape >> 5).0, &[8, 0]].concat(),
    };
    frame.extend(input.bytes(usize::from(shape >> 4) * 2));
    if shape == 0xf3 {
        frame.resize(4000, 0);
    }
    frame.push(from);
    frame
}
