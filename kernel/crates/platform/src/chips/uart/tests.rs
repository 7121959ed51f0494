use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

const T: Instant = Instant::ZERO;

fn ready(ier: u8, fcr: u8) -> Uart {
    let mut uart = Uart::default();
    let _ = uart.write(2, fcr, T);
    let _ = uart.write(4, 0x0b, T);
    let _ = uart.write(1, ier, T);
    uart
}

#[test]
fn loopback_reflects_modem_outputs_and_data() {
    let mut uart = ready(0, 1);
    let _ = uart.write(4, 0x1a, T);
    assert_eq!(uart.read(6, T).0 & 0xf0, 0x90);
    let _ = uart.write(0, b'x', T);
    assert_eq!(uart.read(5, T).0 & 1, 1);
    assert_eq!(uart.read(0, T).0, b'x');
    assert_eq!(uart.take(&mut [0; 4]).0, 0, "loopback data must not reach the wire");
}

#[test]
fn a_driver_that_probes_finds_a_16550a() {
    let mut uart = Uart::default();
    let _ = uart.write(1, 0xff, T);
    assert_eq!(uart.read(1, T).0, 0x0f);
    let _ = uart.write(7, 0xa5, T);
    assert_eq!(uart.read(7, T).0, 0xa5);
    assert_eq!(uart.read(2, T).0 & 0xc0, 0);
    let _ = uart.write(2, 0x07, T);
    assert_eq!(uart.read(2, T).0 & 0xe0, 0xc0);
    let _ = uart.write(3, 0x80, T);
    let _ = uart.write(0, 12, T);
    assert_eq!((uart.read(0, T).0, uart.read(1, T).0), (12, 0));
}

#[test]
fn thr_empty_interrupt_comes_on_enable_and_iir_read_clears_it() {
    let mut uart = ready(0x02, 1);
    assert!(uart.interrupt());
    assert_eq!(uart.read(2, T).0, 0xc2);
    assert!(!uart.interrupt());
    let _ = uart.write(0, b'a', T);
    assert!(uart.interrupt());
}

#[test]
fn out2_gates_the_interrupt_line() {
    let mut uart = ready(0x02, 1);
    let _ = uart.write(4, 0x03, T);
    assert!(!uart.interrupt());
}

#[test]
fn thre_stays_clear_until_a_whole_fifo_fits_the_ring() {
    let mut uart = ready(0x02, 1);
    let mut sent = 0;
    while uart.read(5, T).0 & 0x20 != 0 {
        for _ in 0..FIFO {
            let _ = uart.write(0, sent as u8, T);
            sent += 1;
        }
    }
    assert_eq!(sent, OUTPUT_RING);
    assert!(!uart.interrupt());
    let mut out = [0; FIFO];
    assert_eq!(uart.take(&mut out).0, FIFO);
    assert_eq!(out[..3], [0, 1, 2]);
    assert!(uart.interrupt());
    for byte in 0..=FIFO {
        let _ = uart.write(0, 100 + byte as u8, T);
    }
    let mut rest = [0; OUTPUT_RING + 1];
    assert_eq!(uart.take(&mut rest).0, OUTPUT_RING, "one byte is lost");
    let sent = (FIFO..OUTPUT_RING).map(|byte| byte as u8).chain((100..).take(FIFO));
    assert!(sent.eq(rest[..OUTPUT_RING].iter().copied()), "the one that found the ring full");
}

#[test]
fn receive_interrupts_at_the_trigger_and_refuses_beyond_the_fifo() {
    let mut uart = ready(0x01, 0x41);
    for byte in 0..4 {
        assert!(!uart.interrupt());
        assert!(uart.give(byte, T).0);
    }
    assert_eq!(uart.read(2, T).0, 0xc4);
    let accepted = (4..40).filter(|byte| uart.give(*byte, T).0).count();
    assert_eq!(accepted, FIFO - 4);
    assert_eq!((0..FIFO).map(|_| uart.read(0, T).0).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    assert!(!uart.interrupt());
}

#[test]
fn bytes_below_the_trigger_time_out_after_four_characters() {
    let mut uart = ready(0x01, 0xc1);
    assert!(uart.give(b'z', T).0);
    let deadline = uart.next_deadline().expect("a timeout is due");
    // 40 bits at 115,200 bits per second.
    assert!((346_000..348_000).contains(&deadline.0), "{deadline:?}");
    let _ = uart.advance(Instant(deadline.0 - 1));
    assert!(!uart.interrupt());
    let _ = uart.advance(deadline);
    assert_eq!(uart.read(2, T).0, 0xcc);
    assert_eq!(uart.read(0, deadline).0, b'z');
    assert!(!uart.interrupt() && uart.next_deadline().is_none());
}

#[test]
fn a_new_divisor_moves_the_timeout_and_says_so() {
    let mut uart = ready(0x01, 0xc1);
    assert!(uart.give(b'z', T).0);
    let _ = uart.write(3, 0x80, T);
    let mut before = uart.next_deadline().expect("a timeout is due");
    // DLM lengthens it, DLL shortens it.
    for (register, value) in [(1, 1), (0, 0)] {
        assert!(uart.write(register, value, T).contains(Effects::TIMER_CHANGED));
        let after = uart.next_deadline().expect("still due");
        assert_ne!(after, before);
        before = after;
    }
}

#[test]
fn loopback_overrun_is_a_line_status_interrupt_that_lsr_clears() {
    let mut uart = ready(0x04, 0);
    let _ = uart.write(4, 0x18, T);
    let _ = uart.write(0, 1, T);
    let _ = uart.write(0, 2, T);
    assert_eq!(uart.read(2, T).0, IIR_LINE_STATUS);
    assert_eq!(uart.read(5, T).0 & 2, 2);
    assert_eq!(uart.read(2, T).0, IIR_NONE);
}

proptest! {
    #[test]
    fn any_traffic_is_survived(steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u8..4), 0..500)) {
        let mut uart = Uart::default();
        let mut now = T;
        for (register, value, what) in steps {
            now = now + Duration::from_micros(u64::from(value));
            match what {
                0 => { let _ = uart.read(register, now); }
                1 => { let _ = uart.write(register, value, now); }
                2 => { let _ = uart.give(value, now); }
                _ => { let _ = uart.advance(now); }
            }
            if let Some(deadline) = uart.next_deadline() {
                prop_assert!(deadline.0 <= now.0 + 40 * NANOS_PER_DIVISOR * 65_535);
            }
        }
    }
}
