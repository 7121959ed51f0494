//! How one core leaves a request for another: two atomics, and the order in which each side touches them.

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// No request. Zero, as the rest of a record before its use, so that records take no room in the image.
const NONE: u8 = 0;

/// At most one request, and the flag that makes the receiver look for it. Any core sends; one core receives.
#[derive(Debug, Default)]
pub struct Mailbox {
    request: AtomicU8,
    attention: AtomicBool,
}

impl Mailbox {
    /// Without a request.
    #[must_use]
    pub const fn new() -> Self {
        Self { request: AtomicU8::new(NONE), attention: AtomicBool::new(false) }
    }

    /// Leaves a request, which is not 0; false if there is one that has not been answered. A call of [`call`](Self::call) must follow.
    #[must_use]
    #[inline]
    pub fn ask(&self, request: u8) -> bool {
        self.request.compare_exchange(NONE, request, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Sets the flag; true if it was not set, so that the receiver must be woken.
    #[inline]
    pub fn call(&self) -> bool {
        !self.attention.swap(true, Ordering::AcqRel)
    }

    /// The value that [`take_attention`](Self::take_attention) would return.
    #[must_use]
    #[inline]
    pub fn has_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed)
    }

    /// For the receiver: clears the flag; true if it was set.
    #[must_use]
    #[inline]
    pub fn take_attention(&self) -> bool {
        // A plain load first: this runs at every turn, and the flag is rarely set.
        self.has_attention() && self.attention.swap(false, Ordering::AcqRel)
    }

    /// The request that waits for its answer.
    #[must_use]
    #[inline]
    pub fn request(&self) -> Option<u8> {
        Some(self.request.load(Ordering::Acquire)).filter(|request| *request != NONE)
    }

    /// For the receiver: it has handled this request, which [`request`](Self::request) returned. A receiver that found none
    /// answers none: one may have been left since.
    #[inline]
    pub fn answer(&self, request: u8) {
        let _ = self.request.compare_exchange(request, NONE, Ordering::Release, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: u8 = 3;

    /// What a receiver does between two accesses to the mailbox.
    #[derive(Clone, Copy, Default)]
    struct Receiver {
        step: u8,
        found: Option<u8>,
        handled: u32,
    }

    impl Receiver {
        /// One access, as `Vm::advance` and `Vm::attend` make them one after the other.
        fn advance(&mut self, mailbox: &Mailbox) {
            self.step = match self.step {
                0 => u8::from(mailbox.take_attention()),
                1 => {
                    self.found = mailbox.request();
                    self.handled += u32::from(self.found == Some(STOP));
                    2
                }
                _ => {
                    if let Some(request) = self.found.take() {
                        mailbox.answer(request);
                    }
                    0
                }
            };
        }
    }

    /// All orders in which a sender (asks, then calls) and a receiver, who was called for a typed byte before, can take
    /// turns: a bit of `order` says whose turn it is.
    #[test]
    fn a_request_is_handled_once_whatever_the_order_of_the_accesses() {
        for order in 0..1u32 << 12 {
            let (mailbox, mut receiver, mut sent) = (Mailbox::new(), Receiver::default(), 0);
            mailbox.call();
            for turn in 0..12 {
                match (order >> turn & 1, sent) {
                    (0, 0) => assert!(mailbox.ask(STOP)),
                    (0, 1) => {
                        mailbox.call();
                    }
                    _ => {
                        receiver.advance(&mailbox);
                        assert!(
                            sent == 0 || receiver.handled == 1 || mailbox.request().is_some(),
                            "{order:b}: lost"
                        );
                        continue;
                    }
                }
                sent += 1;
            }
            if sent == 2 {
                (0..6).for_each(|_| receiver.advance(&mailbox));
                assert_eq!((receiver.handled, mailbox.request()), (1, None), "{order:b}");
            }
        }
    }

    #[test]
    fn a_second_request_waits_for_the_answer_to_the_first() {
        let mailbox = Mailbox::new();
        assert!(mailbox.ask(1) && !mailbox.ask(2));
        mailbox.answer(2);
        assert_eq!(mailbox.request(), Some(1), "the answer to another request");
        mailbox.answer(1);
        assert!(mailbox.ask(2));
    }
}
