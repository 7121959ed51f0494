//! The cost of a frame of a stock Linux guest, in each direction.

use super::Figure;
use super::cost::{LOCAL, WIRE, machine, per_frame};
use crate::initramfs::ArchiveFile;
use crate::{Outcome, Scenario, VmSpec};
use std::path::Path;

/// Without RDRAND and RDSEED: with them the figures are not reproducible.
const COMMAND_LINE: &str = "console=ttyS0,115200 clearcpuid=rdrand,rdseed weir.ip=10.0.5.11/24 weir.run=load";
const LINUX_MAC: &str = "52:54:00:00:01:03";
const SENDER_MAC: &str = "52:54:00:00:01:02";
const FRAMES: [u32; 2] = [1000, 9000];
/// Bytes of UDP payload in a frame of 60 bytes.
const PAYLOAD: u32 = 18;
/// Frames per burst, and ticks of the time-stamp counter from one burst to the next, in which the guest has
/// processed the burst.
const BURSTS: [(u32, u32); 2] = [(1, 200_000), (16, 1_000_000)];

/// Timeout for the reception of all frames, in seconds of the guest's clock.
const RECEIVE_TIMEOUT: u32 = 120;

/// Datagrams to an address on the wire that is in the ARP table and does not answer.
pub fn transmit() -> Outcome<Vec<Figure>> {
    let name = "linux-transmit-60-bytes";
    let cost = per_frame(name, "linux", FRAMES, |frames, folder| {
        let load = format!(
            "arp -i eth0 -s 10.0.5.99 52:54:00:00:01:63 && weir-traffic pour 10.0.5.99 {frames} {PAYLOAD}\n"
        );
        linux(folder, &load, Vec::new(), WIRE)
    })?;
    Ok(cost.figures(name))
}

/// Frames from a micro-guest, which the guest's kernel drops once its driver has received them.
pub fn receive() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for (burst, pause) in BURSTS {
        let name = format!("linux-receive-60-bytes-{burst}-at-once");
        let cost = per_frame(&name, "linux", FRAMES, |frames, folder| {
            let command_line = format!("frames={frames} bytes=60 burst={burst} pause={pause} to=3 wait=1");
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
            linux(folder, &load, vec![sender], LOCAL)
        })?;
        figures.extend(cost.figures(&name));
    }
    Ok(figures)
}

/// A Linux guest that runs a script and powers off, together with other VMs.
fn linux(folder: &Path, script: &str, others: Vec<VmSpec>, uplink: usize) -> Outcome<Scenario> {
    let files = [ArchiveFile { path: "tests/load", contents: script.as_bytes() }];
    let guest =
        VmSpec::unpacked_linux("linux", COMMAND_LINE)?.with_files(folder, &files)?.nic_on(uplink, LINUX_MAC);
    Ok(machine(others.into_iter().chain([guest]).collect()))
}
