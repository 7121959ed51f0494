//! A guest beside Linux that takes no frames, and frames for it from the wire during the whole run: whatever is tested, it makes
//! no difference.

use super::steps::counter;
use end_to_end::failure::ErrorContext;
use end_to_end::{Outcome, Run, VmSpec, namespace, require};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

const ADDRESS: &str = "10.0.5.13";
const MAC: &str = "52:54:00:05:00:13";
/// Time between two frames. The vNIC's FIFO is full after 500, and then more wait than may.
const GAP: Duration = Duration::from_millis(3);

/// The guest, whose ring has no free descriptor.
pub fn full() -> Outcome<VmSpec> {
    Ok(VmSpec::micro("full", "nic_hog", "work=full")?.nic(MAC))
}

/// Frames for it, until this is dropped.
pub struct Flood(Arc<AtomicBool>);

impl Flood {
    /// Starts, in the network namespace of this thread.
    pub fn start() -> Outcome<Self> {
        // It answers no ARP.
        namespace::ip(&["neigh", "add", ADDRESS, "lladdr", MAC, "dev", "tap0"])?;
        let socket = UdpSocket::bind(("10.0.5.1", 0)).context("binding a UDP socket")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_too = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop_too.load(Ordering::Relaxed) {
                // While the emulator has not opened the tap, there is nobody to send to.
                let _ = socket.send_to(&[0; 46], (ADDRESS, 9));
                sleep(GAP);
            }
        });
        Ok(Self(stop))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Its vNIC was full, as the counters at the end say.
pub fn check(run: &Run) -> Outcome {
    // The wire has the first port, Linux the second.
    let count = |name| counter(run, "switch nic0 port 2:", name);
    let lost = count("no_room") + count("held_too_long");
    require!(lost > 100, "the guest beside it was not full: {lost} frames were lost");
    Ok(())
}
