//! Sends `frames=` frames of `bytes=` bytes to the load test's guest number `to=`, `burst=` frames with each write
//! of the tail. With `wait=1` it starts after receiving a first frame; between bursts it waits `pause=` ticks of
//! the time-stamp counter. With `ip=1` the frames are datagrams.
#![no_std]
#![no_main]

use micro::e1000::{MAX_FRAME, Nic};
use micro::net::{self, Ends, Ipv4, UDP_OVERHEAD};
use micro::{Boot, Verdict, apic, ensure, line, load, pic, processor};

micro::guest!("load_send", main);

fn main(boot: &Boot) -> Verdict {
    let number = |key, otherwise| boot.command_line.number(key, otherwise);
    let (frames, burst, bytes) = (number("frames", 1000), number("burst", 1), number("bytes", 60));
    let length = u16::try_from(bytes).ok().filter(|&length| (14..=MAX_FRAME).contains(&length.into()));
    ensure!(length.is_some(), "bytes={bytes} is not a valid length of a frame");
    let length = length.unwrap_or_default();
    pic::start();
    apic::start();
    let mut nic = Nic::start()?;
    let mut frame = [0; MAX_FRAME];
    load::write_head(&mut frame, load::station(number("to", 0)), nic.mac);
    if number("ip", 0) != 0 {
        let ends = Ends {
            from: (nic.mac, Ipv4([10, 0, 5, 2])),
            to: (load::station(number("to", 0)), Ipv4([10, 0, 5, 99])),
        };
        net::write_udp(
            &mut frame,
            ends,
            (9, 9),
            &[0; MAX_FRAME][..usize::from(length).saturating_sub(UDP_OVERHEAD)],
        );
    }
    let buffer = nic.keep(&frame);
    line!("READY");
    while number("wait", 0) != 0 && nic.receive(&mut frame).is_none() {
        processor::sleep();
    }

    let mut sent = 0;
    while sent < frames {
        let size = burst.clamp(1, nic.tx_descriptors() - 1).min(frames - sent);
        while nic.tx_room() < size {
            processor::take_interrupts();
        }
        for _ in 0..size {
            nic.queue_from(buffer, length);
        }
        nic.move_tail();
        sent += size;
        processor::wait_ticks(number("pause", 0).into());
    }
    while nic.tx_room() < nic.tx_descriptors() - 1 {
        processor::take_interrupts();
    }
    Ok(())
}
