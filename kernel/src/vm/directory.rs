//! What every core may know of every guest, and how any core asks for something at the core that runs it.
//!
//! A guest belongs to one core, which alone touches its virtual processor and its board. What others have for
//! it lies here: whoever leaves something sets the guest's attention flag, which its core looks at in between.

use super::lifecycle::{Refusal, State};
use crate::hardware::{clock, cores, interrupt_controllers};
use alloc::string::String;
use base::{Duration, Instant};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use shell::VmAction;
use spin::{Mutex, Once};

/// Most guests.
pub const MAX_VMS: usize = config::MAX_VMS;
/// Bytes that can be typed ahead of a guest.
const TYPED: usize = 256;
/// How long somebody who asks waits until the guest's core has done it.
const PATIENCE: Duration = Duration::from_millis(50);

/// What can be asked of a guest's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A step in the guest's life.
    Change(VmAction),
    /// Its figures, as lines of the shell.
    Figures,
}

/// All requests: a number that is none of theirs means that nothing is asked for.
const REQUESTS: [Request; 6] = [
    Request::Change(VmAction::Start),
    Request::Change(VmAction::Pause),
    Request::Change(VmAction::Resume),
    Request::Change(VmAction::Stop),
    Request::Change(VmAction::Restart),
    Request::Figures,
];
const NONE: u8 = u8::MAX;

struct Record {
    name: Once<String>,
    core: AtomicUsize,
    state: AtomicU8,
    /// What somebody asks for, as its place in [`REQUESTS`].
    request: AtomicU8,
    attention: AtomicBool,
    typed: Mutex<heapless::Deque<u8, TYPED>>,
    typed_lost: AtomicU64,
    memory_bytes: AtomicU64,
    vnics: AtomicUsize,
    exits: AtomicU64,
    run_nanos: AtomicU64,
    starts: AtomicU32,
}

static RECORDS: [Record; MAX_VMS] = [const {
    Record {
        name: Once::new(),
        core: AtomicUsize::new(0),
        state: AtomicU8::new(State::Stopped as u8),
        request: AtomicU8::new(NONE),
        attention: AtomicBool::new(false),
        typed: Mutex::new(heapless::Deque::new()),
        typed_lost: AtomicU64::new(0),
        memory_bytes: AtomicU64::new(0),
        vnics: AtomicUsize::new(0),
        exits: AtomicU64::new(0),
        run_nanos: AtomicU64::new(0),
        starts: AtomicU32::new(0),
    }
}; MAX_VMS];

/// What is known of a guest without asking its core.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The core that runs it.
    pub core: usize,
    /// What it is doing.
    pub state: State,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Its vNICs.
    pub vnics: usize,
    /// Its exits, as of its last turn.
    pub exits: u64,
    /// Processor time it has used, in nanoseconds, as of its last turn.
    pub run_nanos: u64,
    /// How often it was started.
    pub starts: u32,
}

/// Enters a guest. Its place among the guests is its number for ever.
pub fn enter(vm: usize, config: &config::VmConfig, core: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.core.store(core, Ordering::Relaxed);
        record.memory_bytes.store(config.memory_bytes, Ordering::Relaxed);
        record.vnics.store(config.vnics.len(), Ordering::Relaxed);
        record.name.call_once(|| config.name.clone());
    }
}

/// The guests, in the order of their numbers.
pub fn all() -> impl Iterator<Item = Summary> {
    (0..MAX_VMS).map_while(summary)
}

/// What is known of a guest; `None` where there is none with this number.
pub fn summary(vm: usize) -> Option<Summary> {
    let record = RECORDS.get(vm)?;
    Some(Summary {
        name: record.name.get()?,
        core: record.core.load(Ordering::Relaxed),
        state: State::from_number(record.state.load(Ordering::Acquire)),
        memory_bytes: record.memory_bytes.load(Ordering::Relaxed),
        vnics: record.vnics.load(Ordering::Relaxed),
        exits: record.exits.load(Ordering::Relaxed),
        run_nanos: record.run_nanos.load(Ordering::Relaxed),
        starts: record.starts.load(Ordering::Relaxed),
    })
}

/// True when every guest has ended by itself and none comes back.
pub fn all_ended() -> bool {
    all().all(|vm| vm.state == State::Ended)
}

/// Asks for a step in a guest's life. The guest's core does it in between, and says so in the log.
///
/// # Errors
/// [`Refusal`], when it makes no sense now.
pub fn change(vm: usize, action: VmAction) -> Result<(), Refusal> {
    summary(vm).ok_or(Refusal::NoSuchVm)?.state.check(action)?;
    ask(vm, Request::Change(action))
}

/// Asks for something at a guest's core.
///
/// # Errors
/// [`Refusal::Busy`] or [`Refusal::NoSuchVm`].
pub fn ask(vm: usize, request: Request) -> Result<(), Refusal> {
    let number = REQUESTS.iter().position(|known| *known == request).unwrap_or(usize::from(NONE)) as u8;
    let asked = &RECORDS.get(vm).ok_or(Refusal::NoSuchVm)?.request;
    asked.compare_exchange(NONE, number, Ordering::AcqRel, Ordering::Relaxed).map_err(|_| Refusal::Busy)?;
    attract(vm);
    Ok(())
}

/// Waits until a guest's core has done what was asked, but not for long: what it does not do in time it does
/// later.
pub fn await_answer(vm: usize, now: Instant) {
    while request(vm).is_some() && clock::now() < now + PATIENCE {
        core::hint::spin_loop();
    }
}

/// Types a byte at a guest's console. Who types more than the guest takes up loses some, as on a line without
/// flow control.
pub fn type_byte(vm: usize, byte: u8) {
    if let Some(record) = RECORDS.get(vm) {
        if record.typed.lock().push_back(byte).is_err() {
            record.typed_lost.fetch_add(1, Ordering::Relaxed);
        }
        attract(vm);
    }
}

/// Has the guest's core look at what was left for it, also when it sleeps or executes a guest.
pub fn attract(vm: usize) {
    let Some(record) = RECORDS.get(vm) else { return };
    let core = record.core.load(Ordering::Relaxed);
    if !record.attention.swap(true, Ordering::AcqRel) && core != cores::current() {
        interrupt_controllers::wake(core);
    }
}

/// True when this core runs the guest.
pub fn is_here(vm: usize) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.core.load(Ordering::Relaxed) == cores::current())
}

/// For the guest's core: true when [`take_attention`] is.
pub fn has_attention(vm: usize) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.attention.load(Ordering::Relaxed))
}

/// For the guest's core: true when something was left since the last call.
pub fn take_attention(vm: usize) -> bool {
    let Some(record) = RECORDS.get(vm) else { return false };
    // A plain load first: this is asked at every turn, and nearly always answered no.
    record.attention.load(Ordering::Relaxed) && record.attention.swap(false, Ordering::AcqRel)
}

/// For the guest's core: what is asked for. [`answered`] follows.
pub fn request(vm: usize) -> Option<Request> {
    let number = RECORDS.get(vm)?.request.load(Ordering::Acquire);
    REQUESTS.get(usize::from(number)).copied()
}

/// For the guest's core: the request is done.
pub fn answered(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.request.store(NONE, Ordering::Release);
    }
}

/// For the guest's core: the next typed byte.
pub fn take_typed(vm: usize) -> Option<u8> {
    RECORDS.get(vm)?.typed.lock().pop_front()
}

/// Typed bytes that found no room here: the guest's core did not fetch those before in time.
pub fn typed_lost(vm: usize) -> u64 {
    RECORDS.get(vm).map_or(0, |record| record.typed_lost.load(Ordering::Relaxed))
}

/// For the guest's core: what the guest is doing now.
pub fn publish(vm: usize, state: State) {
    if let Some(record) = RECORDS.get(vm) {
        record.state.store(state as u8, Ordering::Release);
        // Whether all have ended is for the boot core to see.
        if state == State::Ended && cores::current() != cores::BOOT_CORE {
            interrupt_controllers::wake(cores::BOOT_CORE);
        }
    }
}

/// For the guest's core: the guest has started.
pub fn count_start(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.starts.fetch_add(1, Ordering::Relaxed);
    }
}

/// For the guest's core: exits and processor time so far.
pub fn publish_usage(vm: usize, exits: u64, nanos: u64) {
    if let Some(record) = RECORDS.get(vm) {
        record.exits.store(exits, Ordering::Relaxed);
        record.run_nanos.store(nanos, Ordering::Relaxed);
    }
}
