//! What every core may know about every VM, and how any core sends a request to the core that runs it.
//!
//! A VM belongs to one core, which alone touches its virtual processor and its board. Other cores leave requests
//! and typed bytes here and set the VM's attention flag, which its core checks in its main loop.

use crate::hardware::interrupt::local_apic;
use crate::processor::cores::{PerCore, per_core};
use crate::processor::{clock, cores};
use alloc::string::String;
use base::{Duration, Instant};
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use schedule::{Mailbox, Quiet};
use shell::VmAction;
use shell::{ActionRefusal, TypedAhead, Typing, VmState, VmSummary};
use spin::{Mutex, Once};

/// Maximum number of VMs.
pub const MAX_VMS: usize = config::MAX_VMS;
/// How long a core waits for the answer to its request.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);

/// Why a VM was stopped, as text.
pub type Reason = heapless::String<256>;

/// A request to the core that runs a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An action of the operator: start, stop and so on.
    Change(VmAction),
    /// Its statistics, as lines of the shell.
    Statistics,
}

/// All requests, under the numbers that they have in a [`Mailbox`].
const REQUESTS: [Request; 7] = [
    Request::Change(VmAction::Start),
    Request::Change(VmAction::Pause),
    Request::Change(VmAction::Resume),
    Request::Change(VmAction::Button),
    Request::Change(VmAction::Stop),
    Request::Change(VmAction::Restart),
    Request::Statistics,
];

impl Request {
    fn number(self) -> Option<u8> {
        (1..).zip(&REQUESTS).find(|(_, known)| **known == self).map(|(number, _)| number)
    }
}

struct GuestRecord {
    name: Once<String>,
    /// Why it was stopped last, or could not be built.
    reason: Mutex<Reason>,
    core: AtomicUsize,
    state: AtomicU8,
    mailbox: Mailbox,
    typed: Mutex<TypedAhead>,
    memory_bytes: AtomicU64,
    vnics: AtomicUsize,
    exits: AtomicU64,
    run_nanos: AtomicU64,
    starts: AtomicU32,
}

static QUIET: PerCore<Quiet> = per_core!(Quiet::new());
static RECORDS: [GuestRecord; MAX_VMS] = [const {
    GuestRecord {
        name: Once::new(),
        reason: Mutex::new(Reason::new()),
        core: AtomicUsize::new(0),
        state: AtomicU8::new(VmState::Stopped as u8),
        mailbox: Mailbox::new(),
        typed: Mutex::new(TypedAhead::new()),
        memory_bytes: AtomicU64::new(0),
        vnics: AtomicUsize::new(0),
        exits: AtomicU64::new(0),
        run_nanos: AtomicU64::new(0),
        starts: AtomicU32::new(0),
    }
}; MAX_VMS];

/// Registers a VM under its number, which is its place in the configuration.
pub fn enter(vm: usize, config: &config::VmConfig, core: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.core.store(core, Ordering::Relaxed);
        record.memory_bytes.store(config.memory_bytes, Ordering::Relaxed);
        record.vnics.store(config.vnics.len(), Ordering::Relaxed);
        record.name.call_once(|| config.name.clone());
    }
}

/// Registers a VM that could not be built, with the reason.
pub fn enter_unusable(vm: usize, config: &config::VmConfig, reason: &dyn fmt::Display) {
    enter(vm, config, cores::BOOT_CORE);
    note_reason(vm, reason);
    publish(vm, VmState::Unusable);
}

/// Notes why a VM was stopped.
pub fn note_reason(vm: usize, reason: &dyn fmt::Display) {
    if let Some(record) = RECORDS.get(vm) {
        *record.reason.lock() = shell::shortened(reason);
    }
}

/// Why a VM was stopped last, or could not be built; empty if it was never stopped.
pub fn reason(vm: usize) -> Reason {
    RECORDS.get(vm).map_or_else(Reason::new, |record| record.reason.lock().clone())
}

/// All VMs, in the order of their numbers.
pub fn all() -> impl Iterator<Item = VmSummary> {
    (0..MAX_VMS).map_while(summary)
}

/// What is known about a VM; `None` if there is no VM with this number.
pub fn summary(vm: usize) -> Option<VmSummary> {
    let record = RECORDS.get(vm)?;
    Some(VmSummary {
        name: record.name.get()?,
        core: record.core.load(Ordering::Relaxed),
        state: VmState::from_number(record.state.load(Ordering::Acquire)),
        memory_bytes: record.memory_bytes.load(Ordering::Relaxed),
        vnics: record.vnics.load(Ordering::Relaxed),
        exits: record.exits.load(Ordering::Relaxed),
        run_nanos: record.run_nanos.load(Ordering::Relaxed),
        starts: record.starts.load(Ordering::Relaxed),
    })
}

/// True when every guest that could be built has ended by itself and none will be restarted. False when none could be
/// built: only the operator ends Weir then.
pub fn all_ended() -> bool {
    let known = RECORDS.iter().take_while(|record| record.name.is_completed());
    let states = known.map(|record| VmState::from_number(record.state.load(Ordering::Acquire)));
    let mut usable = states.filter(|state| *state != VmState::Unusable).peekable();
    usable.peek().is_some() && usable.all(|state| state == VmState::Ended)
}

/// Requests an action on a VM. The VM's core carries it out in its main loop and logs it.
///
/// # Errors
/// [`ActionRefusal`], if the action makes no sense in the VM's present state.
pub fn change(vm: usize, action: VmAction) -> Result<(), ActionRefusal> {
    summary(vm).ok_or(ActionRefusal::NoSuchVm)?.state.check(action)?;
    ask(vm, Request::Change(action))
}

/// Sends a request to a VM's core.
///
/// # Errors
/// [`ActionRefusal::Busy`], [`ActionRefusal::NoSuchVm`] or [`ActionRefusal::Unusable`].
pub fn ask(vm: usize, request: Request) -> Result<(), ActionRefusal> {
    if summary(vm).is_some_and(|known| known.state == VmState::Unusable) {
        return Err(ActionRefusal::Unusable);
    }
    let mailbox = &RECORDS.get(vm).ok_or(ActionRefusal::NoSuchVm)?.mailbox;
    if !request.number().is_some_and(|number| mailbox.ask(number)) {
        return Err(ActionRefusal::Busy);
    }
    call_attention(vm);
    Ok(())
}

/// Waits until a VM's core has handled the request, or until [`ANSWER_TIMEOUT`] has passed, and returns which. The core handles
/// it in any case.
pub fn await_answer(vm: usize, now: Instant) -> bool {
    while request(vm).is_some() && clock::now() < now + ANSWER_TIMEOUT {
        core::hint::spin_loop();
    }
    request(vm).is_none()
}

/// Types a byte at a VM's console.
pub fn type_byte(vm: usize, byte: u8) -> Typing {
    let Some(record) = RECORDS.get(vm) else { return Typing::Lost };
    let typing = record.typed.lock().push(byte);
    if matches!(typing, Typing::Taken | Typing::TakenAfter(_)) {
        call_attention(vm);
    }
    typing
}

/// Makes the VM's core check its requests, even if it is idle or executes a guest.
pub fn call_attention(vm: usize) {
    let Some(record) = RECORDS.get(vm) else { return };
    let core = record.core.load(Ordering::Relaxed);
    if record.mailbox.call() && core != cores::current() {
        local_apic::wake(core);
    }
}

/// The same for frames, which many others' guests may send. A core that is [`Quiet`] looks by itself soon.
pub fn call_attention_to_frames(vm: usize) {
    let Some(record) = RECORDS.get(vm) else { return };
    let core = record.core.load(Ordering::Relaxed);
    if record.mailbox.call() && QUIET.of(core).is_none_or(|quiet| quiet.interrupts(clock::now())) {
        local_apic::wake(core);
    }
}

/// When other cores interrupt this one for frames.
pub fn quiet() -> &'static Quiet {
    QUIET.here()
}

/// True if this core runs the VM.
pub fn is_here(vm: usize) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.core.load(Ordering::Relaxed) == cores::current())
}

/// For the VM's core: the value that [`take_attention`] would return.
pub fn has_attention(vm: usize) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.mailbox.has_attention())
}

/// For the VM's core: true if a request or a typed byte has been left since the last call.
pub fn take_attention(vm: usize) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.mailbox.take_attention())
}

/// For the VM's core: the pending request. A call of [`answered`] must follow.
pub fn request(vm: usize) -> Option<Request> {
    let number = RECORDS.get(vm)?.mailbox.request()?;
    REQUESTS.get(usize::from(number.checked_sub(1)?)).copied()
}

/// For the VM's core: it has handled this request.
pub fn answered(vm: usize, request: Request) {
    if let (Some(record), Some(number)) = (RECORDS.get(vm), request.number()) {
        record.mailbox.answer(number);
    }
}

/// For the VM's core: passes typed bytes to `give` until it refuses one. Returns true if some are left.
pub fn pass_typed(vm: usize, give: impl FnMut(u8) -> bool) -> bool {
    RECORDS.get(vm).is_some_and(|record| record.typed.lock().pass(give))
}

/// For the VM's core: drops what was typed for a guest that no longer runs.
pub fn forget_typed(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.typed.lock().forget();
    }
}

/// Typed bytes that were lost: too many were typed ahead, or the guest ended before it took them.
pub fn typed_lost(vm: usize) -> u64 {
    RECORDS.get(vm).map_or(0, |record| record.typed.lock().lost())
}

/// For the VM's core: publishes the VM's state.
pub fn publish(vm: usize, state: VmState) {
    if let Some(record) = RECORDS.get(vm) {
        record.state.store(state as u8, Ordering::Release);
        // The boot core checks whether all have ended.
        if state == VmState::Ended && cores::current() != cores::BOOT_CORE {
            local_apic::wake(cores::BOOT_CORE);
        }
    }
}

/// For the VM's core: the guest has started.
pub fn count_start(vm: usize) {
    if let Some(record) = RECORDS.get(vm) {
        record.starts.fetch_add(1, Ordering::Relaxed);
    }
}

/// For the VM's core: publishes exits and processor time so far.
pub fn publish_usage(vm: usize, exits: u64, nanos: u64) {
    if let Some(record) = RECORDS.get(vm) {
        record.exits.store(exits, Ordering::Relaxed);
        record.run_nanos.store(nanos, Ordering::Relaxed);
    }
}
