//! What every core may know of every guest, and how any core asks for something at the core that runs it.
//!
//! A guest belongs to one core, which alone touches its virtual processor and its board. What others have for
//! it lies here: whoever leaves something sets the guest's attention flag, which its core looks at in between.

use super::lifecycle::{Refusal, State, VmAction, Why};
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use spin::{Mutex, Once};

/// Most guests.
pub const MAX_VMS: usize = config::MAX_VMS;
/// Bytes that can be typed ahead of a guest.
const TYPED: usize = 256;
/// No action is asked for.
const NONE: u8 = u8::MAX;

struct Record {
    name: Once<String>,
    core: AtomicUsize,
    state: AtomicU8,
    /// What somebody asks for, as its place in [`VmAction::ALL`].
    action: AtomicU8,
    attention: AtomicBool,
    typed: Mutex<heapless::Deque<u8, TYPED>>,
    run_nanos: AtomicU64,
    starts: AtomicU32,
}

static RECORDS: [Record; MAX_VMS] = [const {
    Record {
        name: Once::new(),
        core: AtomicUsize::new(0),
        state: AtomicU8::new(State::Stopped as u8),
        action: AtomicU8::new(NONE),
        attention: AtomicBool::new(false),
        typed: Mutex::new(heapless::Deque::new()),
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
    /// Processor time it has used, in nanoseconds.
    pub run_nanos: u64,
    /// How often it was started.
    pub starts: u32,
}

/// Enters a guest. Its place among the guests is its number for ever.
pub fn enter(vm: usize, name: &str, core: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.core.store(core, Ordering::Relaxed);
        record.name.call_once(|| name.into());
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
        run_nanos: record.run_nanos.load(Ordering::Relaxed),
        starts: record.starts.load(Ordering::Relaxed),
    })
}

/// The number of the guest with this name.
pub fn find(name: &str) -> Option<usize> {
    all().position(|vm| vm.name == name)
}

/// True when every guest has ended by itself and none comes back.
pub fn all_ended() -> bool {
    all().all(|vm| vm.state == State::Ended)
}

/// Asks for a change of a guest's life. The guest's core does it in between, and says so in the log.
///
/// # Errors
/// [`Refusal`], when it makes no sense now.
pub fn request(vm: usize, action: VmAction) -> Result<(), Refusal> {
    let known = summary(vm).ok_or(Refusal { vm: "", why: Why::NoSuchVm })?;
    let refuse = |why| Refusal { vm: known.name, why };
    known.state.check(action).map_err(refuse)?;
    let asked = &RECORDS[vm].action;
    asked
        .compare_exchange(NONE, action as u8, Ordering::AcqRel, Ordering::Relaxed)
        .map_err(|_| refuse(Why::Busy))?;
    attract(vm);
    Ok(())
}

/// Types a byte at a guest's console. Who types more than the guest takes up loses some, as on a line without
/// flow control.
pub fn type_byte(vm: usize, byte: u8) {
    if let Some(record) = RECORDS.get(vm) {
        let _ = record.typed.lock().push_back(byte);
        attract(vm);
    }
}

/// Has the guest's core look at what was left for it.
pub fn attract(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.attention.store(true, Ordering::Release);
    }
}

/// For the guest's core: true when something was left since the last call.
pub fn take_attention(vm: usize) -> bool {
    let Some(record) = RECORDS.get(vm) else { return false };
    // A plain load first: this is asked at every turn, and nearly always answered no.
    record.attention.load(Ordering::Relaxed) && record.attention.swap(false, Ordering::AcqRel)
}

/// For the guest's core: what is asked for.
pub fn take_action(vm: usize) -> Option<VmAction> {
    let number = RECORDS.get(vm)?.action.swap(NONE, Ordering::AcqRel);
    VmAction::ALL.get(usize::from(number)).copied()
}

/// For the guest's core: the next typed byte.
pub fn take_typed(vm: usize) -> Option<u8> {
    RECORDS.get(vm)?.typed.lock().pop_front()
}

/// For the guest's core: what the guest is doing now.
pub fn publish(vm: usize, state: State) {
    if let Some(record) = RECORDS.get(vm) {
        record.state.store(state as u8, Ordering::Release);
    }
}

/// For the guest's core: the guest has started.
pub fn count_start(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.starts.fetch_add(1, Ordering::Relaxed);
    }
}

/// For the guest's core: processor time used so far.
pub fn publish_run_time(vm: usize, nanos: u64) {
    if let Some(record) = RECORDS.get(vm) {
        record.run_nanos.store(nanos, Ordering::Relaxed);
    }
}
