//! Several physical cards at once, each with another guest; cards that share an interrupt line; a card without a
//! driver.

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
/// On the wire of the second card.
const SECOND_WIRE: Ipv4Addr = Ipv4Addr::new(10, 0, 6, 2);
const SINK_MAC: &str = "52:54:00:00:01:03";
const COUNT: u32 = 10_000;
/// Most datagrams on their way: half of what the guest's receive ring holds.
const WINDOW: u32 = 64;

pub fn trials(backend: Backend) -> Vec<Trial> {
    let pairs = PAIRS.into_iter().map(|cards| {
        let name = format!("{}_and_{}_carry_a_guest_each", cards[0], cards[1]);
        trial_needing(backend, &cards.map(Need::Card), name, move |test| {
            two_cards(test, &cards, [0, 1]).map(drop)
        })
    });
    let shared = trial_needing(
        backend,
        &[Need::Cards(FIVE.len())],
        "cards_on_one_interrupt_line_carry_a_guest_each",
        one_interrupt_line,
    );
    let foreign = trial_needing(
        backend,
        &[Need::Card(CardModel::Virtio)],
        "a_card_without_a_driver_is_named_and_left_alone",
        without_a_driver,
    );
    pairs.chain([shared, foreign]).collect()
}

/// Four lines serve all slots of the bus in turn: the first and the fifth card are on one.
const FIVE: [CardModel; 5] = [CardModel::E1000; 5];

fn one_interrupt_line(test: &Test) -> Outcome {
    let run = two_cards(test, &FIVE, [0, 4])?;
    let text = run.console.text();
    let line = |nic: &str| {
        let up = text.lines().find(|line| line.contains(&format!("{nic}: NIC ")))?;
        up.split_once("; interrupts: ").map(|(_, how)| how.trim().to_owned())
    };
    let (first, fifth) = (line("nic0"), line("nic4"));
    require!(first.is_some() && first == fifth, "nic0 has {first:?}, nic4 {fifth:?}");
    Ok(())
}

/// The card that comes first on the bus has no driver: the log names it, and the name without more goes to the next.
fn without_a_driver(test: &Test) -> Outcome {
    let vm = Vm::micro("vm0", "nic_echo", &format!("ip={SECOND_WIRE}"))?.nic_on(0, ECHO_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]).on(&[CardModel::Virtio, CardModel::E1000]))?;
    run.allow("has no driver: not used");
    run.allow("nic1: no physical NIC for it");
    run.expect("NIC 00:04.0 [1af4:1000] has no driver: not used")?;
    run.expect("nic0: NIC 00:05.0 [8086:100e] driver e1000 ")?;
    run.expect("| READY")?;
    require!(answers(SECOND_WIRE, STEP)?, "no answer to ping on the second wire");
    stop(SECOND_WIRE)?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()
}

/// One guest answers ping on one card's wire while another takes datagrams from another's; no frame is on the other
/// one's wire.
fn two_cards(test: &Test, cards: &[CardModel], [first, second]: [usize; 2]) -> Outcome<Run> {
    let sink = Ipv4Addr::new(10, 0, 5 + second as u8, 2);
    let vms = vec![
        Vm::micro("first", "nic_echo", &format!("ip={ECHO}"))?.nic_on(first, ECHO_MAC),
        Vm::micro("second", "nic_sink", &format!("ip={sink}"))?.nic_on(second, SINK_MAC),
    ];
    let mut run = Run::start(test, &Scenario::new(vms).on(cards))?;
    run.expect("| READY")?;
    run.expect("| READY")?;
    require!(answers(ECHO, STEP)?, "no answer to ping on the first wire");
    let pinger = Pinger::start(ECHO, STEP)?;
    let peer = Ipv4Addr::new(10, 0, 5 + second as u8, 1);
    let socket = UdpSocket::bind((peer, PORT)).context("binding a UDP socket")?;
    let sender = thread::spawn(move || traffic::blast(&socket, (sink, PORT).into(), COUNT, WINDOW));
    run.expect("second| PASS nic_sink")?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent > 0, "ping beside the datagrams: {tally:?}");
    stop(ECHO)?;
    run.expect("first| PASS nic_echo")?;
    run.finish()?;
    for (capture, own) in [(&run.captures[first], ECHO_MAC), (&run.captures[second], SINK_MAC)] {
        let senders: Vec<String> = capture.from_weir().iter().map(|frame| sender_of(frame)).collect();
        require!(!senders.is_empty(), "nothing came to the wire of {own}");
        let strangers: Vec<&String> = senders.iter().filter(|sender| *sender != own).collect();
        require!(strangers.is_empty(), "on the wire of {own}: {strangers:?}");
    }
    Ok(run)
}

/// The source address of a frame, as text.
fn sender_of(frame: &[u8]) -> String {
    let bytes = frame.get(6..12).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}
