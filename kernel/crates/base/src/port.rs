//! The interface of everything that sends and receives frames: vNIC, physical NIC, capture tap, fault injector.

use crate::{Instant, LentFrame, Outbox, Ticket};

/// What a port can carry at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Longest frame that the port accepts, in bytes, without the frame check sequence.
    pub max_frame: usize,
    /// False while the port has no link: frames sent to it would be lost.
    pub link_up: bool,
    /// True if it cuts long TCP segments, [`LentFrame::mss`], on their way to the wire.
    pub segments: bool,
    /// True if it accepts such segments now, too, although it may not ask for them: they were left whole for another port.
    pub takes_segments: bool,
}

/// Most [lanes](Port::lanes) of a port: eight NICs, and one for frames that wait for something else than room in one of them.
pub const LANES: usize = 9;

/// What a port did with a frame that it was offered.
#[derive(Debug)]
#[must_use = "it has a ticket"]
pub enum Put {
    /// It keeps the frame, whose memory it still uses, and returns the ticket [later](Port::reap).
    Kept,
    /// It has made use of the frame, or has dropped and counted it because it can never carry it.
    Done(Ticket),
    /// It has no room for it now.
    Refused(Ticket),
}

/// A source and a sink of frames.
///
/// As a source it lends its frames out by an [`Outbox`], and gets them back in [`settle`](Self::settle). As a sink it is
/// offered frames of others one by one, and told when that was all: one tail write, or one decision about an interrupt,
/// serves them all.
///
/// ```
/// use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};
///
/// /// A cable for short frames whose far end is plugged into its near end.
/// #[derive(Default)]
/// struct Loopback {
///     frames: Vec<Vec<u8>>,
///     dropped: usize,
/// }
///
/// impl Port for Loopback {
///     fn capabilities(&mut self) -> Capabilities {
///         Capabilities { max_frame: 128, link_up: true, segments: false, takes_segments: false }
///     }
///
///     fn fetch(&mut self, into: &mut Outbox, budget: usize, _now: Instant) -> usize {
///         let add = |frame: &&Vec<u8>| {
///             into.add(0, |new| {
///                 new.head(frame.len()).copy_from_slice(frame);
///                 true
///             })
///         };
///         let fetched = self.frames.iter().take(budget).take_while(add).count();
///         self.frames.drain(..fetched).count()
///     }
///
///     fn settle(&mut self, outbox: &mut Outbox, _now: Instant) {
///         while outbox.finished(|_, _| ()).is_some() {}
///     }
///
///     fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, _now: Instant) -> Put {
///         if frame.length <= self.capabilities().max_frame {
///             self.frames.push(frame.head.to_vec());
///         } else {
///             self.dropped += 1;
///         }
///         Put::Done(ticket)
///     }
///
///     fn flush(&mut self, _now: Instant) {}
/// }
///
/// let (mut port, mut outbox, now) = (Loopback::default(), Outbox::new(0), Instant::ZERO);
/// port.frames.push(vec![7; 60]);
/// assert_eq!(port.fetch(&mut outbox, 64, now), 1);
/// let slot = outbox.fetched().expect("it was fetched");
/// outbox.share(slot, 1);
/// let Put::Done(ticket) = port.put(outbox.frame(slot), outbox.lend(slot), now) else { panic!() };
/// outbox.give_back(ticket);
/// port.settle(&mut outbox, now);
/// assert!(outbox.is_empty() && port.frames == [[7; 60]]);
/// ```
pub trait Port {
    /// What the port can carry at the moment.
    fn capabilities(&mut self) -> Capabilities;

    /// A number that changes when the frames that the port has lent out must not go anywhere any more: their memory
    /// serves another purpose, since the guest was stopped or has reset its vNIC.
    fn life(&mut self) -> u32 {
        0
    }

    /// Adds at most `budget` waiting frames to `into`, and returns how many it added. Stops early when there is no room.
    /// A port that stops early for a reason of its own tells its owner, who cannot see that it has more.
    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize;

    /// Takes the frames back that are [finished](Outbox::finished).
    fn settle(&mut self, outbox: &mut Outbox, now: Instant);

    /// Offers a frame of another port. A refusal is back-pressure: the frame is offered again. The port accepts a frame
    /// that it can never carry (too long, too short) and counts it as dropped, so that it does not block those behind it.
    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put;

    /// How many lanes the port has, from 1 to [`LANES`], always the same number. A port has several if several NICs are
    /// behind it: where one of them refuses frames, another may take those of its own lane. The last of several is for frames that
    /// wait for something else than room in a NIC: they are never too old, and the port ends their wait.
    fn lanes(&mut self) -> usize {
        1
    }

    /// In which lane, fewer than [`lanes`](Self::lanes), this frame from the port with the number `source` is now: frames that
    /// wait in one lane wait for the same thing, room in one NIC, and none that is [put](Self::put) in another makes them wait
    /// longer. Asked only while frames wait, and only if there are several.
    fn lane(&mut self, frame: &LentFrame<'_>, source: usize) -> usize {
        let _ = (frame, source);
        0
    }

    /// Passes the tickets of frames that it has [kept](Put::Kept) and made use of since to `done`. Returns how many
    /// these are.
    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        let _ = (done, now);
        0
    }

    /// Passes the tickets of frames that it has [kept](Put::Kept) and will not send to `unsent`, in the order in which they
    /// were put. It changes none of their memory, and nothing leaves it of what it may still read there for a moment. A NIC that
    /// was stopped or reset has such frames; other ports have none. With several lanes that order holds in each, and between
    /// those whose frames have moved from one to the other; until all are taken back, the port refuses what would pass them. Returns how
    /// many these are.
    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        let _ = unsent;
        0
    }

    /// Tells the port how many bytes of frames it has accepted of those that it was offered last, all of them from the port with
    /// the number `source`.
    fn note_accepted(&mut self, source: usize, bytes: usize) {
        let _ = (source, bytes);
    }

    /// The end of a run of [offers](Self::put), which may have been none: what the port itself keeps moves on too.
    fn flush(&mut self, now: Instant);

    /// Tells the port that `frames` frames for it were dropped, because it has not accepted them in time. A NIC
    /// counts them as missed; by default nothing happens.
    fn missed(&mut self, frames: usize, now: Instant) {
        let _ = (frames, now);
    }
}

impl<P: Port + ?Sized> Port for &mut P {
    fn capabilities(&mut self) -> Capabilities {
        (**self).capabilities()
    }

    fn life(&mut self) -> u32 {
        (**self).life()
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        (**self).fetch(into, budget, now)
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        (**self).settle(outbox, now);
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        (**self).put(frame, ticket, now)
    }

    fn lanes(&mut self) -> usize {
        (**self).lanes()
    }

    fn lane(&mut self, frame: &LentFrame<'_>, source: usize) -> usize {
        (**self).lane(frame, source)
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        (**self).reap(done, now)
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        (**self).take_back(unsent)
    }

    fn note_accepted(&mut self, source: usize, bytes: usize) {
        (**self).note_accepted(source, bytes);
    }

    fn flush(&mut self, now: Instant) {
        (**self).flush(now);
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        (**self).missed(frames, now);
    }
}
