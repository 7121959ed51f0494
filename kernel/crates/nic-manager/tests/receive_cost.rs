//! What comes in from the wire in passing. What that costs is counted by callgrind: see docs/performance.md.

#[path = "support/team.rs"]
mod support;

use base::{Instant, Outbox, Port};
use nic_manager::TeamSettings;
use support::{Bench, READY, STATION};
use testkit::frame::{mac, numbered};

const BURST: u32 = 16;

#[test]
fn f36_no_frame_that_comes_in_by_one_member_is_taken_for_a_copy() {
    let mut bench = Bench::new(TeamSettings::STANDARD, &[READY; 2], 1);
    let mut outbox = Outbox::new(0);
    for round in 0..1000 {
        for number in 0..BURST {
            // The sender repeats itself now and then.
            let frame = numbered(mac(1), mac(STATION), (round * BURST + number) & !3, 300);
            bench.member(0).nic.arrive(&frame);
        }
        let now = Instant(1_000_000_000 + u64::from(round) * 100_000);
        assert_eq!(bench.team.fetch(&mut outbox, 64, now), BURST as usize);
        for _ in 0..BURST {
            let slot = outbox.fetched().expect("each frame is passed on");
            outbox.share(slot, 0);
        }
        bench.team.settle(&mut outbox, now);
    }
    assert_eq!(bench.team.counters().duplicates, 0);
}
