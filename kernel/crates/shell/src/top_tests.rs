extern crate std;

use super::*;
use base::ByteRates;
use std::string::{String as Text, ToString};
use std::vec::Vec as Lines;

const SECOND: u64 = 1_000_000_000;

fn nic(frames: u64) -> NicRow<'static> {
    NicRow {
        state: &"ready",
        speed: Some(1000),
        transmitted: frames,
        received: 2 * frames,
        rates: ByteRates { sent: 117_500_000, received: 12_345 },
        ..NicRow::missing("nic0")
    }
}

fn vnic(frames: u64) -> VnicRow<'static> {
    VnicRow {
        vm: "a-long-name-of-a-vm",
        number: 1,
        mac: &"-",
        uplink: Some("lan"),
        carrier: Some("nic0"),
        link: true,
        transmitted: frames,
        received: 0,
        bytes: [frames * 1500, 0],
        drops: 7,
        priority: None,
    }
}

fn picture(top: &mut Top, frames: u64, now: Instant) {
    top.begin(now);
    top.nic(&nic(frames));
    top.begin_vnics();
    top.vnic(&vnic(frames));
}

#[test]
fn rates_are_what_the_counters_have_grown_by_in_a_second() {
    let mut top = Top::new();
    top.show(true, Instant(5));
    assert_eq!(top.due(), Some(Instant(5)));
    picture(&mut top, 1000, Instant(SECOND));
    let lines: Lines<_> = top.lines().map(Text::from).collect();
    let first = [
        "NIC          state     link  b/s out  b/s in f/s out  f/s in  drops errors",
        "nic0         ready     up       940M     98k       -       -      0      0",
        "vNIC         by        link  b/s out  b/s in f/s out  f/s in  drops",
        "a-long-nam/1 nic0      up          -       -       -       -      7",
    ];
    assert_eq!(lines, first);
    assert!(lines.iter().all(|line| line.len() + "weir| ".len() <= 80));
    picture(&mut top, 4000, Instant(3 * SECOND));
    let lines: Lines<_> = top.lines().map(Text::from).collect();
    assert_eq!(lines[1], "nic0         ready     up       940M     98k    1.5k    3.0k      0      0");
    assert_eq!(lines[3], "a-long-nam/1 nic0      up        18M       0    1.5k       0      7");
    assert_eq!(top.due(), Some(Instant(4 * SECOND)));
    assert!(top.hide() && !top.hide());
}

#[test]
fn a_picture_takes_the_place_of_the_last_one_if_nothing_else_was_written() {
    let (mut top, mut out) = (Top::new(), Text::new());
    top.show(false, Instant::ZERO);
    for in_place in [true, true, false] {
        picture(&mut top, 1, Instant::ZERO);
        top.draw(&mut out, in_place).unwrap();
    }
    assert_eq!(out.matches("\r\x1b[4A\x1b[J").count(), 1, "{out}");
    assert_eq!((out.matches("weir| nic0 ").count(), out.matches(LAST).count()), (3, 3));
}

#[test]
fn rows_without_room_are_counted() {
    let (mut top, mut out) = (Top::new(), Text::new());
    top.show(false, Instant::ZERO);
    top.begin(Instant::ZERO);
    (0..200).for_each(|_| top.vnic(&vnic(1)));
    top.draw(&mut out, false).unwrap();
    let shown = out.matches("a-long-nam/1").count();
    assert!((40..200).contains(&shown) && out.ends_with(&std::format!("; {} more rows", 200 - shown)));
}

#[test]
fn rates_have_three_digits_at_most() {
    let texts =
        [0, 999, 1000, 9_999, 10_000, 999_999, 1_000_000, u64::MAX].map(|rate| Rate(Some(rate)).to_string());
    assert_eq!(texts, ["0", "999", "1.0k", "9.9k", "10k", "999k", "1.0M", "18E"]);
}
