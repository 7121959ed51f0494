//! Several physical cards of different models at once, each with another guest.

use crate::misbehaviour::stop;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::failure::Context;
use end_to_end::machine::CardModel;
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::STEP;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, Vm, require};
use libtest_mimic::Trial;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

/// Each pair of models.
const PAIRS: [[CardModel; 2]; 3] = [
    [CardModel::E1000, CardModel::E1000e],
    [CardModel::E1000e, CardModel::Igb],
    [CardModel::Igb, CardModel::E1000],
];
const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const ECHO_MAC: &str = "52:54:00:00:01:02";
const SINK: Ipv4Addr = Ipv4Addr::new(10, 0, 6, 2);
const SINK_MAC: &str = "52:54:00:00:01:03";
const COUNT: u32 = 10_000;
/// Most datagrams on their way: half of what the guest's receive ring holds.
const WINDOW: u32 = 64;

pub fn trials(backend: Backend) -> Vec<Trial> {
    PAIRS
        .into_iter()
        .map(|cards| {
            let name = format!("{}_and_{}_carry_a_guest_each", cards[0], cards[1]);
            trial_needing(backend, &cards.map(Need::Card), name, move |test| two_cards(test, cards))
        })
        .collect()
}

/// One guest answers ping on the first card's wire while another takes datagrams from the second's; no frame is on
/// the other one's wire.
fn two_cards(test: &Test, cards: [CardModel; 2]) -> Outcome {
    let vms = vec![
        Vm::micro("first", "nic_echo", &format!("ip={ECHO}"))?.nic_on(0, ECHO_MAC),
        Vm::micro("second", "nic_sink", &format!("ip={SINK}"))?.nic_on(1, SINK_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms).on(&cards))?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    require!(answers(ECHO, STEP)?, "no answer to ping on the first wire");
    let pinger = Pinger::start(ECHO, STEP)?;
    let socket = UdpSocket::bind(("10.0.6.1", PORT)).context("binding a UDP socket")?;
    let sender = thread::spawn(move || traffic::blast(&socket, (SINK, PORT).into(), COUNT, WINDOW));
    run.expect("second| PASS nic_sink")?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent > 0, "ping beside the datagrams: {tally:?}");
    stop(ECHO)?;
    run.expect("first| PASS nic_echo")?;
    run.finish()?;
    for (capture, own) in run.captures.iter().zip([ECHO_MAC, SINK_MAC]) {
        let senders: Vec<String> = capture.from_weir().iter().map(|frame| sender_of(frame)).collect();
        require!(!senders.is_empty(), "nothing came to the wire of {own}");
        let strangers: Vec<&String> = senders.iter().filter(|sender| *sender != own).collect();
        require!(strangers.is_empty(), "on the wire of {own}: {strangers:?}");
    }
    Ok(())
}

/// The source address of a frame, as text.
fn sender_of(frame: &[u8]) -> String {
    let bytes = frame.get(6..12).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
