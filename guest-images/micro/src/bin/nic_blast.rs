//! Sends `count=` numbered datagrams of mixed sizes to `peer=`, as fast as the window `window=` allows or one
//! every `gap=` hundredths of a second, and ends when the peer has acknowledged the last one.
#![no_std]
#![no_main]

use micro::numbered::{ACKNOWLEDGED, LAST, PORT, write};
use micro::stack::{HERTZ, Host};
use micro::{Boot, Verdict, ensure, line, pic};

micro::guest!("nic_blast", main);

/// Timeout for an acknowledgement, in seconds.
const ANSWER_TIMEOUT: u32 = 60;

fn main(boot: &Boot) -> Verdict {
    let mut host = Host::start(boot)?;
    let peer = boot.command_line.address("peer");
    ensure!(peer.is_some(), "the command line has no peer=a.b.c.d");
    let peer = peer.unwrap_or_default();
    let count = boot.command_line.number("count", 1000);
    // Maximum number of unacknowledged datagrams; with zero, acknowledgements are not needed.
    let window = boot.command_line.number("window", 32);
    ensure!(window == 0 || window >= ACKNOWLEDGED, "window={window}: one in {ACKNOWLEDGED} is acknowledged");
    // Minimum number of timer ticks between two datagrams.
    let gap = boot.command_line.number("gap", 0);
    let mac = host.resolve(peer, ANSWER_TIMEOUT);
    ensure!(mac.is_some(), "{peer} does not answer");
    let to = (mac.unwrap_or_default(), peer);

    let mut payload = [0; 1472];
    let mut acknowledged = 0;
    for number in 0..count {
        while window != 0 && number - acknowledged >= window {
            let answer = host.wait(ANSWER_TIMEOUT * HERTZ);
            ensure!(answer.is_some(), "no acknowledgement after {acknowledged}");
            acknowledged =
                answer.and_then(|answer| acknowledgement(host.payload(answer))).unwrap_or(acknowledged);
        }
        let start = pic::ticks();
        while pic::ticks().wrapping_sub(start) < gap {
            let answer = host.wait(gap);
            acknowledged =
                answer.and_then(|answer| acknowledgement(host.payload(answer))).unwrap_or(acknowledged);
        }
        let length = write(&mut payload, number);
        ensure!(host.send_datagram(to, (PORT, PORT), &payload[..length]), "the ring stays full at {number}");
        if (number + 1).is_multiple_of(count.div_ceil(10)) {
            line!("sent {} of {count}", number + 1);
        }
    }

    for _ in 0..ANSWER_TIMEOUT {
        let length = write(&mut payload, LAST);
        payload[8..12].copy_from_slice(&count.to_be_bytes());
        host.send_datagram(to, (PORT, PORT), &payload[..length]);
        while let Some(answer) = host.wait(HERTZ) {
            if acknowledgement(host.payload(answer)) == Some(LAST) {
                host.print_counters();
                return Ok(());
            }
        }
    }
    ensure!(false, "the end was not acknowledged");
    Ok(())
}

fn acknowledgement(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(..4)?.try_into().ok()?))
}
