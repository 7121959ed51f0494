//! The interface of everything that sends and receives frames: vNIC, physical NIC, capture tap, fault injector.

use crate::{Batch, Instant};

/// What a port can carry at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest frame that the port accepts, in bytes, without the frame check sequence.
    pub max_frame: usize,
    /// False while the port has no link: frames sent to it would be lost.
    pub link_up: bool,
}

/// A source and sink of frames: whole Ethernet frames without the frame check sequence.
///
/// ```
/// use base::{Batch, Capabilities, Instant, Port};
///
/// /// A cable whose far end is plugged into its near end.
/// struct Loopback {
///     frames: Vec<Vec<u8>>,
///     dropped: usize,
/// }
///
/// impl Port for Loopback {
///     fn capabilities(&self) -> Capabilities {
///         Capabilities { max_frame: 1514, link_up: true }
///     }
///
///     fn send(&mut self, frames: &[&[u8]], _now: Instant) -> usize {
///         for frame in frames {
///             if frame.len() <= self.capabilities().max_frame {
///                 self.frames.push(frame.to_vec());
///             } else {
///                 self.dropped += 1;
///             }
///         }
///         frames.len()
///     }
///
///     fn poll(&mut self, into: &mut Batch, budget: usize, _now: Instant) -> usize {
///         let fitting = self.frames.iter().take(budget).take_while(|frame| into.push(frame)).count();
///         self.frames.drain(..fitting).count()
///     }
/// }
///
/// let mut port = Loopback { frames: Vec::new(), dropped: 0 };
/// assert_eq!(port.send(&[&[1; 60], &[2; 9000], &[3; 60]], Instant::ZERO), 3);
/// let mut batch = Batch::with_capacity(4096);
/// assert_eq!(port.poll(&mut batch, 64, Instant::ZERO), 2);
/// assert_eq!(port.dropped, 1);
/// assert_eq!(batch.get(1), Some(&[3; 60][..]));
/// ```
pub trait Port {
    /// What the port can carry at the moment.
    fn capabilities(&self) -> Capabilities;

    /// Offers `frames` in order and returns how many of them, from the first on, were accepted.
    ///
    /// The caller keeps the rest: that is back-pressure. The port accepts a frame that it can never carry (too
    /// long, too short) and counts it as dropped, so that it does not block the frames behind it.
    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize;

    /// Tells the port that `frames` frames for it were dropped, because it has not accepted them in time. A NIC
    /// counts them as missed; by default nothing happens.
    fn missed(&mut self, frames: usize, now: Instant) {
        let _ = (frames, now);
    }

    /// Appends at most `budget` waiting frames to `into` and returns how many it appended. Stops early when
    /// `into` has no room for the next frame. A port that stops early for a reason of its own tells its owner, who
    /// cannot see that it has more.
    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize;
}
