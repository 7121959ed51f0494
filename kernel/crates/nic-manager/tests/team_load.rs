//! Policy `load` over a whole team: what the switch gives to it is measured, and moves a vNIC.

#[path = "support/team.rs"]
mod support;

use base::{Effects, LinkSpeed, LinkStatus, NicInfo};
use nic_manager::{MoveReason, TeamNote, TeamPolicy, TeamSettings, VnicId};
use support::{Bench, LINK, READY, SILENT, STATION};
use testkit::frame::{mac, numbered};

const FAST: NicInfo = NicInfo { link: LinkStatus { speed: LinkSpeed::Mbps100, ..LINK }, ..READY };
/// Long frames, so that there are few.
const LENGTH: usize = 9000;
const STEP: u64 = 100_000_000;
const STEPS_PER_SECOND: usize = 10;
/// How many each guest sends in a step: about 80, 4 and 15 Mb/s.
const RATES: [usize; 3] = [111, 6, 21];

/// A step in which all guests send at their rates, and members send what they are given. Returns how many frames of each guest went by
/// each member.
fn step(bench: &mut Bench, frames: &[Vec<u8>]) -> [[usize; 3]; 2] {
    for (guest, (frame, rate)) in (1..).zip(frames.iter().zip(RATES)) {
        (0..rate).for_each(|_| bench.guests[guest - 1].arrive(frame));
        bench.lan.note(guest, Effects::TX_KICK);
    }
    bench.run(STEP);
    let counts = [0, 1].map(|place| {
        let member = bench.member(place);
        let sent = member.nic.take_sent();
        member.info.sent_bytes += sent.iter().map(|frame| frame.len() as u64).sum::<u64>();
        member.nic.send_kept(usize::MAX / 2);
        [1, 2, 3].map(|guest| sent.iter().filter(|frame| frame[6..12] == mac(guest).0).count())
    });
    bench.run(0);
    counts
}

#[test]
fn f23_the_vnic_whose_move_helps_leaves_a_member_that_was_loaded_for_thirty_seconds_and_nothing_moves_after()
{
    let settings = TeamSettings { policy: TeamPolicy::Load, ..SILENT };
    let mut bench = Bench::new(settings, &[FAST; 2], 3);
    bench.team.members_mut().for_each(|member| member.nic.capabilities.max_frame = 9018);
    bench.guests.iter_mut().for_each(|guest| guest.capabilities.max_frame = 9018);
    let frames = [1, 2, 3].map(|guest| numbered(mac(STATION), mac(guest), 0, LENGTH));
    let [a, b, c] = RATES;
    let (before, after) = ([[a, 0, c], [0, b, 0]], [[a, 0, 0], [0, b, c]]);
    for number in 0..29 * STEPS_PER_SECOND {
        assert_eq!(step(&mut bench, &frames), before, "step {number}");
    }
    assert_eq!(bench.notes(), []);
    let moved = (0..4 * STEPS_PER_SECOND).find(|_| step(&mut bench, &frames) == after);
    assert!(moved.is_some(), "nothing has moved");
    let third = |note: &TeamNote| {
        matches!(
            note,
            TeamNote::Moved { vnic: VnicId(2), reason: MoveReason::Load, from: Some(_), to: Some(_) }
        )
    };
    let notes = bench.notes();
    assert!(matches!(&notes[..], [note] if third(note)), "{notes:?}");
    // The first member is still at 80 %, and another move would only load the other one.
    for number in 0..65 * STEPS_PER_SECOND {
        assert_eq!(step(&mut bench, &frames), after, "step {number} after the move");
    }
    assert_eq!((bench.notes(), bench.wire().lost()), (vec![], 0));
}
