//! The cost of a frame of a stock Linux guest, in each direction.

use super::Figure;
use super::cost::{LOCAL, WIRE, machine, per_frame};
use crate::initramfs::ArchiveFile;
use crate::{Outcome, VmSpec};
use std::path::Path;

/// Without RDRAND and RDSEED: with them the figures are not reproducible.
const COMMAND_LINE: &str = "console=ttyS0,115200 clearcpuid=rdrand,rdseed weir.run=load";
const LINUX: Station = Station { name: "linux", mac: "52:54:00:00:01:03", ip: "10.0.5.11" };
const PEER: Station = Station { name: "peer", mac: "52:54:00:00:01:04", ip: "10.0.5.12" };
const SENDER_MAC: &str = "52:54:00:00:01:02";
const FRAMES: [u32; 2] = [1000, 9000];
/// Bytes of UDP payload in a frame whose length is 42 bytes more.
const PAYLOADS: [u32; 2] = [18, 1472];
/// Length of the frames, frames per burst, and ticks of the time-stamp counter from one burst to the next, in which the guest
/// has processed the burst.
const BURSTS: [(u32, u32, u32); 3] = [(60, 1, 200_000), (60, 16, 1_000_000), (1514, 16, 2_000_000)];
/// KiB of a stream.
const STREAM: [u32; 2] = [256, 2304];

/// Timeout for the reception of all frames, in seconds of the guest's clock.
const RECEIVE_TIMEOUT: u32 = 120;

/// A Linux guest.
struct Station {
    name: &'static str,
    mac: &'static str,
    ip: &'static str,
}

/// Datagrams to an address on the wire that is in the ARP table and does not answer.
pub fn transmit() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for payload in PAYLOADS {
        let name = format!("linux-transmit-{}-bytes", payload + 42);
        let cost = per_frame(&name, LINUX.name, FRAMES, |frames, folder| {
            let load = format!(
                "arp -i eth0 -s 10.0.5.99 52:54:00:00:01:63 && weir-traffic pour 10.0.5.99 {frames} {payload}\n"
            );
            Ok(machine(vec![LINUX.runs(&load, folder, WIRE)?]))
        })?;
        figures.extend(cost.figures(&name));
    }
    Ok(figures)
}

/// A stream from one guest to another: what the sender's frames cost and the acknowledgements that come back, for each KiB.
pub fn tcp() -> Outcome<Vec<Figure>> {
    let name = "linux-tcp";
    let cost = per_frame(name, LINUX.name, STREAM, |kib, folder| {
        let send = format!(
            "truncate -s {kib}K /tmp/stream\n\
             until weir-traffic stream {} 6000 < /tmp/stream; do sleep 1; done\n",
            PEER.ip
        );
        let sender = LINUX.runs(&send, folder, LOCAL)?;
        let receiver = PEER.runs("nc -l -p 6000 < /dev/null > /dev/null\n", folder, LOCAL)?;
        Ok(machine(vec![sender, receiver]))
    })?;
    Ok(cost.figures_in(name, ["exits/KiB", "interrupts/KiB", "instructions/KiB"]))
}

/// Frames from a micro-guest, which the guest's kernel drops once its driver has received them.
pub fn receive() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for (bytes, burst, pause) in BURSTS {
        let name = format!("linux-receive-{bytes}-bytes-{burst}-at-once");
        let cost = per_frame(&name, LINUX.name, FRAMES, |frames, folder| {
            let command_line =
                format!("frames={frames} bytes={bytes} burst={burst} pause={pause} to=3 wait=1");
            let sender = VmSpec::micro("sender", "load_send", &command_line)?.nic_on(LOCAL, SENDER_MAC);
            // The sender starts when it sees an ARP request. Lost frames fail the run.
            let load = format!(
                "ping -c 1 -W 1 10.0.5.2\n\
                 for second in $(seq {RECEIVE_TIMEOUT}); do\n\
                 [ $(cat /sys/class/net/eth0/statistics/rx_packets) -ge {frames} ] && exit 0\n\
                 sleep 1\n\
                 done\n\
                 exit 1\n"
            );
            Ok(machine(vec![sender, LINUX.runs(&load, folder, LOCAL)?]))
        })?;
        figures.extend(cost.figures(&name));
    }
    Ok(figures)
}

impl Station {
    /// The guest, which runs a script and powers off.
    fn runs(&self, script: &str, folder: &Path, uplink: usize) -> Outcome<VmSpec> {
        let Self { name, mac, ip } = self;
        let files = [ArchiveFile { path: "tests/load", contents: script.as_bytes() }];
        let guest = VmSpec::unpacked_linux(name, &format!("{COMMAND_LINE} weir.ip={ip}/24"))?;
        Ok(guest.with_files(folder, &files)?.nic_on(uplink, mac))
    }
}
