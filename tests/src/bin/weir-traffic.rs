//! Sends and receives datagrams within a Linux guest: `weir-traffic sink`, `weir-traffic blast ADDRESS COUNT
//! WINDOW`, or `weir-traffic pour ADDRESS COUNT BYTES`. Linked statically, because the guest has no libraries.
#![forbid(unsafe_code)]

use end_to_end::failure::ErrorContext;
use end_to_end::{Failure, Outcome, traffic};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::ExitCode;

const USAGE: &str = "usage: weir-traffic sink | blast ADDRESS COUNT WINDOW | pour ADDRESS COUNT BYTES";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(count) => {
            println!("{count} datagrams");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("weir-traffic: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Outcome<u32> {
    let usage = || Failure::Wrong(USAGE.into());
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, traffic::PORT)).context("binding a UDP socket")?;
    match words {
        ["sink"] => traffic::sink(&socket),
        ["blast", address, count, window] => {
            let address: IpAddr = address.parse().map_err(|_| usage())?;
            let count = count.parse().map_err(|_| usage())?;
            let window = window.parse().map_err(|_| usage())?;
            traffic::blast(&socket, (address, traffic::PORT).into(), count, window).map(|()| count)
        }
        ["pour", address, count, bytes] => {
            let address: IpAddr = address.parse().map_err(|_| usage())?;
            let count = count.parse().map_err(|_| usage())?;
            let bytes = bytes.parse().map_err(|_| usage())?;
            traffic::pour(&socket, (address, traffic::PORT).into(), count, bytes).map(|()| count)
        }
        _ => Err(usage()),
    }
}
