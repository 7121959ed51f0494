//! Megabytes between a Linux guest and the peer on the wire.

use super::{Boot, GUEST, PEER, WINDOW, datagrams};
use end_to_end::failure::ErrorContext;
use end_to_end::run::STEP;
use end_to_end::traffic::{self, PORT};
use end_to_end::{Failure, Outcome, Run, require};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

/// Timeout for a step that transfers megabytes.
pub const TRANSFER: Duration = Duration::from_secs(900);
pub const TCP_BYTES: usize = 4 << 20;

pub fn tcp(run: &mut Run, _: &Boot) -> Outcome {
    let listener = TcpListener::bind((PEER, 6000)).context("listening")?;
    let receiver = thread::spawn(move || receive(&listener));
    make_file(run)?;
    run.shell("linux", &format!("weir-traffic stream {PEER} 6000 < /tmp/a"), TRANSFER)?;
    let received = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(received.len() == TCP_BYTES, "{} of {TCP_BYTES} bytes were received", received.len());
    let shown = run.shell("linux", "sha256sum /tmp/a", TRANSFER)?;
    require!(
        shown.contains(&sum(&received)),
        "to the wire: the received checksum is {}, the guest's: {shown}",
        sum(&received)
    );

    let sent = bytes_for_the_guest();
    let expected = sum(&sent);
    let listener = TcpListener::bind((PEER, 6001)).context("listening")?;
    let sender = thread::spawn(move || send(&listener, &sent));
    run.shell("linux", &format!("nc {PEER} 6001 </dev/null >/tmp/b"), TRANSFER)?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))??;
    let shown = run.shell("linux", "sha256sum /tmp/b; rm /tmp/a /tmp/b", TRANSFER)?;
    require!(
        shown.contains(&expected),
        "from the wire: the sent checksum is {expected}, the guest's: {shown}"
    );
    Ok(())
}

/// Creates a file to send, `/tmp/a`, from the guest's own programs: in an emulator, generating random numbers
/// takes longer than the transfer.
pub fn make_file(run: &mut Run) -> Outcome {
    let programs = "/bin/busybox /bin/weir-traffic";
    let command = format!("cat {programs} {programs} > /tmp/a && truncate -s {TCP_BYTES} /tmp/a");
    run.shell("linux", &command, STEP).map(drop)
}

/// What the peer sends.
pub fn bytes_for_the_guest() -> Vec<u8> {
    (0_u32..).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(TCP_BYTES).collect()
}

pub fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn receive(listener: &TcpListener) -> Outcome<Vec<u8>> {
    let (mut stream, _) = listener.accept().context("accepting")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("receiving")?;
    Ok(bytes)
}

fn send(listener: &TcpListener, bytes: &[u8]) -> Outcome {
    let (mut stream, _) = listener.accept().context("accepting")?;
    stream.write_all(bytes).context("sending")
}

pub fn udp(run: &mut Run, _: &Boot) -> Outcome {
    let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
    let receiver = thread::spawn(move || traffic::sink(&socket));
    run.shell("linux", &format!("weir-traffic blast {PEER} {} {WINDOW}", datagrams()), TRANSFER)?;
    let count = receiver.join().map_err(|_| Failure::Wrong("the receiver panicked".into()))??;
    require!(count == datagrams(), "{count} datagrams were received");

    let sender = thread::spawn(move || {
        let socket = UdpSocket::bind((PEER, PORT)).context("binding a UDP socket")?;
        traffic::blast(&socket, (GUEST, PORT).into(), datagrams(), WINDOW)
    });
    run.shell("linux", "weir-traffic sink", TRANSFER)?;
    sender.join().map_err(|_| Failure::Wrong("the sender panicked".into()))?
}
