//! Streams between a Linux guest and the peer arrive whole, whatever interrupts them; and a guest that is restarted in the middle
//! of one has its network afterwards.

use super::steps::BOOT;
use super::transfer::{TCP_BYTES, TRANSFER, bytes_for_the_guest, make_file, sum, tcp};
use super::{Boot, GUEST, PEER};
use crate::lifecycle::{close_shell, command, open_shell};
use end_to_end::failure::ErrorContext;
use end_to_end::run::STEP;
use end_to_end::{Failure, Outcome, Run, require};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// What happens while a stream goes on.
pub type Interruption = fn(&mut Run) -> Outcome;
const INTERRUPTIONS: [Interruption; 4] = [pause, take_link_down, load_driver_anew, unplug];
/// How long it lasts: longer than TCP waits before it sends again.
const WHILE: Duration = Duration::from_secs(1);
/// Bytes of a stream from one interruption to the next.
const PIECE: usize = 512 << 10;
/// During an interruption the peer moves so many bytes in this time: the stream neither stands still nor comes to its end.
const CHUNK: usize = 8 << 10;
const CHUNK_TIME: Duration = Duration::from_millis(50);
/// What the peer's system keeps of a stream.
const BUFFER: usize = 32 << 10;

/// The peer's end of a stream, in a thread of its own: fast up to a mark, slowly beyond it.
struct Flow<T> {
    moved: Arc<AtomicUsize>,
    mark: Arc<AtomicUsize>,
    worker: JoinHandle<io::Result<T>>,
}

impl<T: Send + 'static> Flow<T> {
    /// `step` moves at most [`CHUNK`] bytes of `whole`, after so many, and returns how many; `end` makes the result of it.
    fn start<S: Send + 'static>(
        mut whole: S,
        mut step: impl FnMut(&mut S, usize) -> io::Result<usize> + Send + 'static,
        end: impl FnOnce(S) -> T + Send + 'static,
    ) -> Self {
        let (moved, mark) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(PIECE)));
        let (moved_too, mark_too) = (Arc::clone(&moved), Arc::clone(&mark));
        let worker = thread::spawn(move || {
            let mut done = 0;
            while done < TCP_BYTES {
                if done >= mark_too.load(Ordering::Relaxed) {
                    sleep(CHUNK_TIME);
                }
                done += match step(&mut whole, done)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    bytes => bytes,
                };
                moved_too.store(done, Ordering::Relaxed);
            }
            Ok(end(whole))
        });
        Self { moved, mark, worker }
    }

    /// Waits for the mark.
    fn wait(&self) -> Outcome {
        let begin = Instant::now();
        while self.moved.load(Ordering::Relaxed) < self.mark.load(Ordering::Relaxed) {
            require!(
                begin.elapsed() < TRANSFER && !self.worker.is_finished(),
                "the stream has ended: {}",
                self.shown()
            );
            sleep(CHUNK_TIME);
        }
        Ok(())
    }

    /// Interrupts the stream again and again, and returns its result.
    fn interrupted(self, run: &mut Run, interruptions: &[Interruption]) -> Outcome<T> {
        for interrupt in interruptions {
            self.wait()?;
            interrupt(run)?;
            require!(
                !self.worker.is_finished(),
                "the stream ended before the interruption: {}",
                self.shown()
            );
            self.mark.fetch_add(PIECE, Ordering::Relaxed);
        }
        self.mark.store(TCP_BYTES, Ordering::Relaxed);
        self.wait()?;
        let result = self.worker.join().map_err(|_| Failure::Wrong("the peer's end panicked".into()))?;
        result.context("the peer's end of a stream")
    }

    fn shown(&self) -> String {
        format!("{} of {TCP_BYTES} bytes", self.moved.load(Ordering::Relaxed))
    }
}

pub fn streams(run: &mut Run, _: &Boot) -> Outcome {
    let outcome = to_the_wire(run, &INTERRUPTIONS).and_then(|()| from_the_wire(run, &INTERRUPTIONS));
    // The following steps need the cable.
    run.emulator.set_link(0, true).and(outcome)
}

/// A stream from the guest, which is interrupted again and again, arrives whole.
pub fn to_the_wire(run: &mut Run, interruptions: &[Interruption]) -> Outcome {
    make_file(run)?;
    let received = flow_from_guest(run, 6002)?.interrupted(run, interruptions)?;
    let shown = run.shell("linux", "wait; sha256sum /tmp/a; rm /tmp/a", TRANSFER)?;
    require!(shown.contains(&sum(&received)), "to the wire: received was {}, sent: {shown}", sum(&received));
    Ok(())
}

/// The same for a stream to the guest.
pub fn from_the_wire(run: &mut Run, interruptions: &[Interruption]) -> Outcome {
    let sent = bytes_for_the_guest();
    let expected = sum(&sent);
    let listener = listen(6003)?;
    run.shell("linux", &format!("{{ nc {PEER} 6003 </dev/null >/tmp/b & }}"), STEP)?;
    let mut stream = accept(&listener)?;
    let step = move |sent: &mut Vec<u8>, done: usize| stream.write(&sent[done..TCP_BYTES.min(done + CHUNK)]);
    Flow::start(sent, step, drop).interrupted(run, interruptions)?;
    let shown = run.shell("linux", "wait; sha256sum /tmp/b; rm /tmp/b", TRANSFER)?;
    require!(shown.contains(&expected), "from the wire: sent was {expected}, received: {shown}");
    Ok(())
}

pub fn restart(run: &mut Run, boot: &Boot) -> Outcome {
    make_file(run)?;
    let flow = flow_from_guest(run, 6004)?;
    flow.wait()?;
    open_shell(run)?;
    command(run, "vm restart linux", "linux: ")?;
    close_shell(run)?;
    run.expect_within("linux| weir guest: up", BOOT)?;
    run.expect_within("/ # ", BOOT)?;
    let moved = flow.moved.load(Ordering::Relaxed);
    require!(moved < TCP_BYTES, "the stream was over before the restart");
    tcp(run, boot)
}

/// A stream of `/tmp/a` from the guest.
fn flow_from_guest(run: &mut Run, port: u16) -> Outcome<Flow<Vec<u8>>> {
    let listener = listen(port)?;
    run.shell("linux", &format!("{{ weir-traffic stream {PEER} {port} </tmp/a >/dev/null & }}"), STEP)?;
    let mut stream = accept(&listener)?;
    let step = move |received: &mut Vec<u8>, done: usize| {
        stream.read(&mut received[done..TCP_BYTES.min(done + CHUNK)])
    };
    Ok(Flow::start(vec![0; TCP_BYTES], step, |received| received))
}

fn listen(port: u16) -> Outcome<TcpListener> {
    let listener = TcpListener::bind((PEER, port)).context("listening")?;
    // Its connections have them, too; accept(2) ends after the time-out as well.
    setsockopt(&listener, sockopt::RcvBuf, &BUFFER).context("receive buffer")?;
    setsockopt(&listener, sockopt::SndBuf, &BUFFER).context("send buffer")?;
    setsockopt(&listener, sockopt::ReceiveTimeout, &TimeVal::seconds(180)).context("time-out")?;
    Ok(listener)
}

fn accept(listener: &TcpListener) -> Outcome<TcpStream> {
    let (stream, _) = listener.accept().context("accepting")?;
    stream.set_read_timeout(Some(TRANSFER)).context("time-out")?;
    stream.set_write_timeout(Some(TRANSFER)).context("time-out")?;
    Ok(stream)
}

fn pause(run: &mut Run) -> Outcome {
    open_shell(run)?;
    command(run, "vm pause linux", "linux: paused")?;
    sleep(WHILE);
    command(run, "vm resume linux", "linux: ")?;
    close_shell(run)
}

fn take_link_down(run: &mut Run) -> Outcome {
    run.shell("linux", "ip link set eth0 down; sleep 1; ip link set eth0 up", STEP).map(drop)
}

fn load_driver_anew(run: &mut Run) -> Outcome {
    let load = "rmmod e1000 && sleep 1 && insmod /modules/e1000.ko";
    let command = format!("{load} && ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up");
    run.shell("linux", &command, STEP).map(drop)
}

fn unplug(run: &mut Run) -> Outcome {
    run.emulator.set_link(0, false)?;
    run.expect("nic0: link down")?;
    sleep(WHILE);
    run.emulator.set_link(0, true)?;
    run.expect("nic0: link up").map(drop)
}
