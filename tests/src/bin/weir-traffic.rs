//! Sends and receives within a Linux guest: datagrams with `weir-traffic sink`, `weir-traffic blast ADDRESS COUNT WINDOW` or
//! `weir-traffic pour ADDRESS COUNT BYTES`, its input by TCP with `weir-traffic stream ADDRESS PORT`. Linked statically, because
//! the guest has no libraries.
#![forbid(unsafe_code)]

use end_to_end::failure::ErrorContext;
use end_to_end::{Failure, Outcome, traffic};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::process::ExitCode;

const USAGE: &str =
    "usage: weir-traffic sink | blast ADDRESS COUNT WINDOW | pour ADDRESS COUNT BYTES | stream ADDRESS PORT";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(count) => {
            println!("{count} sent or received");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("weir-traffic: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The number of datagrams, or of bytes in a stream.
fn run(words: &[&str]) -> Outcome<u64> {
    let usage = || Failure::Wrong(USAGE.into());
    if let ["stream", address, port] = words {
        let address: IpAddr = address.parse().map_err(|_| usage())?;
        let port: u16 = port.parse().map_err(|_| usage())?;
        let stream = TcpStream::connect((address, port)).context("connecting")?;
        return traffic::stream(&mut std::io::stdin().lock(), stream);
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, traffic::PORT)).context("binding a UDP socket")?;
    match words {
        ["sink"] => traffic::sink(&socket).map(u64::from),
        ["blast", address, count, window] => {
            let address: IpAddr = address.parse().map_err(|_| usage())?;
            let count = count.parse().map_err(|_| usage())?;
            let window = window.parse().map_err(|_| usage())?;
            traffic::blast(&socket, (address, traffic::PORT).into(), count, window).map(|()| count.into())
        }
        ["pour", address, count, bytes] => {
            let address: IpAddr = address.parse().map_err(|_| usage())?;
            let count = count.parse().map_err(|_| usage())?;
            let bytes = bytes.parse().map_err(|_| usage())?;
            traffic::pour(&socket, (address, traffic::PORT).into(), count, bytes).map(|()| count.into())
        }
        _ => Err(usage()),
    }
}
