//! An outbox with several lenders, and what they look at before the path does.

use base::Outbox;
use base::bits::low_u8;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Adds a frame that is known by its cookie and its first byte.
fn add(outbox: &mut Outbox, cookie: u32) -> bool {
    outbox.add(cookie, |frame| {
        frame.head(60).fill(low_u8(cookie.into()));
        true
    })
}

fn take_all(outbox: &mut Outbox, lender: u8) -> Vec<u32> {
    outbox.set_lender(lender);
    core::iter::from_fn(|| outbox.finished(|cookie, _| cookie)).collect()
}

#[test]
fn a_frame_comes_back_to_the_lender_that_added_it() {
    let mut outbox = Outbox::new(0);
    for cookie in 0..6 {
        outbox.set_lender(low_u8(u64::from(cookie) % 3));
        assert!(add(&mut outbox, cookie));
    }
    while let Some(slot) = outbox.fetched() {
        outbox.share(slot, 0);
    }
    assert_eq!(take_all(&mut outbox, 1), [4, 1]);
    assert_eq!(take_all(&mut outbox, 7), []);
    assert!(outbox.has_finished(), "those of others");
    assert_eq!((take_all(&mut outbox, 0), take_all(&mut outbox, 2)), (vec![3, 0], vec![5, 2]));
    assert!(outbox.is_empty() && !outbox.has_finished());
}

#[test]
fn a_lender_without_memory_adds_nothing_until_a_frame_is_finished() {
    let mut outbox = Outbox::new(0);
    assert!(add(&mut outbox, 1));
    outbox.starve();
    assert!(outbox.is_full() && !add(&mut outbox, 2));
    let slot = outbox.fetched().unwrap();
    outbox.share(slot, 0);
    assert_eq!(take_all(&mut outbox, 0), [1]);
    assert!(add(&mut outbox, 2));
}

#[test]
fn a_review_keeps_the_order_of_what_it_keeps_and_leaves_what_was_there_before() {
    let mut outbox = Outbox::new(0);
    (0..10).for_each(|cookie| assert!(add(&mut outbox, cookie)));
    let mut seen = Vec::new();
    outbox.review(6, |frame| {
        seen.push(frame.head[0]);
        frame.head[0] % 3 != 0
    });
    assert_eq!(seen, [4, 5, 6, 7, 8, 9]);
    assert_eq!(take_all(&mut outbox, 0), [9, 6], "at once");
    let left = core::iter::from_fn(|| outbox.fetched()).collect::<Vec<_>>();
    assert!(left.iter().map(|slot| outbox.frame(*slot).head[0]).eq([0, 1, 2, 3, 4, 5, 7, 8]));
}

#[test]
fn a_review_of_more_than_there_is_looks_at_all() {
    let mut outbox = Outbox::new(0);
    (0..3).for_each(|cookie| assert!(add(&mut outbox, cookie)));
    outbox.review(99, |_| false);
    assert_eq!((outbox.fetched(), take_all(&mut outbox, 0).len()), (None, 3));
    outbox.review(1, |_| unreachable!("there is none"));
}

proptest! {
    #[test]
    fn whatever_lenders_add_and_reviews_refuse_comes_back_once_to_the_one_that_added_it(
        actions in prop::collection::vec((0u8..4, 0u8..3, 0usize..40), 1..80),
    ) {
        let (mut outbox, mut next) = (Outbox::new(0), 0);
        let (mut owners, mut waiting, mut shared) = (BTreeMap::new(), Vec::new(), Vec::new());
        let take = |outbox: &mut Outbox, owners: &mut BTreeMap<u32, u8>, lender| {
            for cookie in take_all(outbox, lender) {
                assert_eq!(owners.remove(&cookie), Some(lender), "frame {cookie}");
            }
        };
        for (action, lender, count) in actions {
            match action {
                0 | 1 => {
                    outbox.set_lender(lender);
                    let count = count.min(outbox.room());
                    for cookie in next..next + count as u32 {
                        prop_assert!(add(&mut outbox, cookie));
                        owners.insert(cookie, lender);
                        waiting.push(cookie);
                    }
                    next += count as u32;
                    // The last ones of them, as a port that looks at what its NICs have received.
                    let of = count.min(usize::from(lender) * 9);
                    let keep = |cookie: u32| cookie % 4 != 1;
                    outbox.review(of, |frame| keep(frame.head[0].into()));
                    let before = waiting.len() - of;
                    let kept: Vec<_> = waiting.drain(before..).filter(|cookie| keep(*cookie)).collect();
                    waiting.extend(kept);
                }
                2 => for cookie in waiting.drain(..) {
                    let slot = outbox.fetched().expect("it was added and kept");
                    prop_assert_eq!(outbox.frame(slot).head[0], low_u8(cookie.into()));
                    outbox.share(slot, 1);
                    shared.push(slot);
                },
                _ => {
                    let at = count.min(shared.len());
                    shared.drain(at..).for_each(|slot| outbox.drop_copy(slot));
                    take(&mut outbox, &mut owners, lender);
                }
            }
        }
        while let Some(slot) = outbox.fetched() {
            outbox.share(slot, 0);
        }
        shared.into_iter().for_each(|slot| outbox.drop_copy(slot));
        (0..3).for_each(|lender| take(&mut outbox, &mut owners, lender));
        prop_assert!(outbox.is_empty() && owners.is_empty());
    }
}
