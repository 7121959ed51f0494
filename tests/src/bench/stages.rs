//! Where on a frame's way Weir's instructions are executed, found in a trace of Bochs' debugger.
//!
//! The trace has the count of instructions, and the addresses. Which stage an address is of, the kernel's debug information
//! says: it names the functions that are put inline there. A function of no stage is of the stage that has called it.

use super::Figure;
use super::cost::{RUN_TIMEOUT, WIRE, folder};
use super::micro::{self, LOADS};
use crate::failure::ErrorContext;
use crate::process::OUTPUT;
use crate::{Backend, Failure, Outcome, Run, Scenario, artifacts, require};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The function that does a piece of work with a port's frames, by a part of its name.
const PIECE: &str = "path::switch::Switch>::take_from::";
/// The function that a physical NIC is given each frame by.
const FRAME: &str = "<nic::nic::Nic<weir::net::nic_host::NicArena> as base::port::Port>::put";
/// Pieces of work before the trace, and in it.
const BEFORE: usize = 60;
const TRACED: usize = 24;
/// Frames, which must not have come to an end by then.
const FRAMES: u32 = 5000;
/// Weir is where no micro-guest is.
const WEIR: &str = ":ffffffff8";

/// The stages, in the order of a frame's way, and the exit, the scheduler and all else.
const STAGES: [&str; 9] = ["fetch", "decide", "queue", "put", "flush", "reap", "settle", "switch", "outside"];
const OUTSIDE: &str = STAGES[8];
/// What is no part of a frame's cost: the screen, which still shows what was said at the boot, and the service of the NICs, as time
/// passes, with all that is called from there.
const SCREEN: &str = "screen";
const ATTENDANCE: &str = "attendance";

/// Where the functions are that ports have, and the switch.
const PORTS: [&str; 5] = ["port.rs", "nic.rs", "queue_pair.rs", "team.rs", "path/src/"];

/// Instructions for each frame of 60 bytes, 16 of them for each write of a tail, in each stage: to the wire, and from guest to
/// guest.
pub fn figures() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    let load = LOADS[1];
    for (way, scenario, whole) in [
        ("transmit", micro::to_nobody(load, FRAMES, WIRE)?, micro::sent(load)?),
        ("guest-to-guest", micro::to_a_guest(load, FRAMES)?, micro::switched(load)?),
    ] {
        let Trace { spent, .. } = trace(&format!("stages-{way}"), scenario)?;
        let all: u64 = spent.values().sum();
        for stage in STAGES {
            let share = spent.get(stage).copied().unwrap_or(0) as f64 / all as f64;
            figures.push(Figure::new(
                format!("stage-{way}-{stage}"),
                share * whole.instructions,
                "instructions/frame",
            ));
        }
    }
    Ok(figures)
}

/// Some pieces of work.
struct Trace {
    /// Instructions in each stage of a frame's way.
    spent: BTreeMap<&'static str, u64>,
    /// Frames that a physical NIC was given.
    frames: usize,
}

/// Instructions for each frame to the wire while the guests send without end.
pub fn in_passing(name: &str, scenario: Scenario) -> Outcome<f64> {
    let Trace { spent, frames } = trace(name, scenario)?;
    require!(frames > 0, "no frame is in the trace: see {name}");
    Ok(spent.values().sum::<u64>() as f64 / frames as f64)
}

/// Instructions in each stage during some pieces of work.
fn trace(name: &str, mut scenario: Scenario) -> Outcome<Trace> {
    let kernel = artifacts::kernel()?;
    let folder = folder(name)?;
    let commands = [format!("lb {:#x}", address(&kernel, PIECE)?), "c\n".repeat(BEFORE), "trace on".into()];
    let commands = commands.join("\n") + "\n" + &"c\n".repeat(TRACED) + "quit\n";
    scenario.machine.bochs = Some(commands);
    let mut run = Run::start_in(Backend::BochsVtx, folder.clone(), &scenario)?;
    let ended = run.emulator.wait_for_power_off(RUN_TIMEOUT).is_ok();
    require!(!ended, "the guests' work ended before the trace");
    drop(run);
    let output = folder.join(OUTPUT);
    let addresses = lines(&output)?.filter(|step| step.weir).map(|step| step.address).collect();
    let stages = stages(&kernel, &addresses)?;
    let mut spent = spend(lines(&output)?, &stages);
    spent.retain(|stage, _| ![SCREEN, ATTENDANCE].contains(stage));
    let put = address(&kernel, FRAME)?;
    let frames = lines(&output)?.filter(|step| step.address == put).count();
    fs::remove_file(&output).context("the trace")?;
    require!(spent.contains_key("put"), "no frame is in the trace: see {}", folder.display());
    Ok(Trace { spent, frames })
}

/// The address of the function with this part of a name.
fn address(kernel: &Path, part: &str) -> Outcome<u64> {
    let output = Command::new("nm").arg("-C").arg(kernel).output().context("starting nm")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains(part)).unwrap_or_default();
    let address = line.split(' ').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    address.ok_or_else(|| Failure::Wrong(format!("the kernel has no function ...{part}...")))
}

/// An instruction of Weir in a trace.
struct Step {
    address: u64,
    /// Instructions, and steps of REP, before it.
    time: u64,
    calls: bool,
    returns: bool,
    /// It is Weir's, not a guest's.
    weir: bool,
}

/// The instructions in a trace.
fn lines(trace: &Path) -> Outcome<impl Iterator<Item = Step>> {
    let file = fs::File::open(trace).context(format!("opening {}", trace.display()))?;
    Ok(BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| Step::parse(&line)))
}

impl Step {
    /// `(0).[123] [0x456] 0008:ffffffff80001234 (unk. ctxt): call .+16 ; e8...`
    fn parse(line: &str) -> Option<Self> {
        let (time, rest) = line.strip_prefix("(0).[")?.split_once(']')?;
        let (place, instruction) = rest.split_once("): ")?;
        let at = place.split_whitespace().nth(1)?;
        let address = u64::from_str_radix(at.split_once(':')?.1, 16).ok()?;
        Some(Self {
            address,
            time: time.parse().ok()?,
            calls: instruction.starts_with("call"),
            returns: instruction.starts_with("ret"),
            weir: at.contains(WEIR),
        })
    }
}

/// Adds up what each stage takes.
fn spend(
    steps: impl Iterator<Item = Step>,
    stages: &BTreeMap<u64, &'static str>,
) -> BTreeMap<&'static str, u64> {
    let mut spent = BTreeMap::new();
    let mut callers: Vec<&'static str> = Vec::new();
    let mut last: Option<(u64, &'static str)> = None;
    for step in steps {
        if let Some((time, stage)) = last.take() {
            *spent.entry(stage).or_insert(0) += step.time - time;
        }
        if !step.weir {
            continue;
        }
        let caller = callers.last().copied().unwrap_or(OUTSIDE);
        let own = stages.get(&step.address).copied().filter(|_| caller != ATTENDANCE);
        let stage = own.unwrap_or(caller);
        last = Some((step.time, stage));
        if step.calls {
            callers.push(stage);
        } else if step.returns {
            callers.pop();
        }
    }
    spent
}

/// The stages of these addresses, as far as they have one of their own.
fn stages(kernel: &Path, addresses: &BTreeSet<u64>) -> Outcome<BTreeMap<u64, &'static str>> {
    let mut process = Command::new("addr2line")
        .args(["-a", "-f", "-i", "-C", "-e"])
        .arg(kernel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting addr2line")?;
    let mut input = process.stdin.take().ok_or_else(|| Failure::Wrong("addr2line has no input".into()))?;
    let asked: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let asking = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let output = process.wait_with_output().context("addr2line")?;
    asking.join().map_err(|_| Failure::Wrong("asking addr2line".into()))?.context("asking addr2line")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut found, mut at) = (BTreeMap::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(digits) = line.strip_prefix("0x") {
            at = u64::from_str_radix(digits, 16).unwrap_or(0);
        } else if let Some(stage) = lines.next().and_then(|file| stage(line, file)) {
            // The innermost function that has one.
            found.entry(at).or_insert(stage);
        }
    }
    Ok(found)
}

/// The stage of a function in a file, if it has one of its own.
fn stage(function: &str, file: &str) -> Option<&'static str> {
    let name = function.split('<').next().unwrap_or_default().trim_end_matches(':');
    let name = name.rsplit("::").next().unwrap_or_default();
    // Other parts of Weir have functions of these names, too.
    let on_the_way = PORTS.iter().any(|part| file.contains(part));
    match name {
        "fetch" if on_the_way => Some("fetch"),
        "settle" if on_the_way => Some("settle"),
        "reap" | "take_back" | "resend" if on_the_way => Some("reap"),
        "put" if on_the_way => Some("put"),
        "flush" if on_the_way => Some("flush"),
        "decide" | "decide_next" | "age" if on_the_way => Some("decide"),
        _ if file.contains("screen/src/") => Some(SCREEN),
        "serve" if file.contains("net/segment.rs") => Some(ATTENDANCE),
        _ if file.contains("path/src/ingress.rs") => Some("queue"),
        _ if file.contains("path/src/") => Some("switch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_of_their_stage_or_of_the_one_that_has_called() {
        let trace = "Next at t=100\n\
            (0).[100] [0x000000001000] 0008:ffffffff80001000 (unk. ctxt): push rbp ; 55\n\
            (0).[101] [0x000000001001] 0008:ffffffff80001001 (unk. ctxt): call .+16 ; e810000000\n\
            (0).[102] [0x000000001016] 0008:ffffffff80001016 (unk. ctxt): rep movsb ; f3a4\n\
            (0).[112] [0x000000001018] 0008:ffffffff80001018 (unk. ctxt): ret ; c3\n\
            (0).[113] [0x000000001006] 0008:ffffffff80001006 (unk. ctxt): vmresume ; 0f01c3\n\
            (0).[114] [0x000000000016] 0010:0000000000200016 (unk. ctxt): nop ; 90\n\
            (0).[120] [0x000000001009] 0008:ffffffff80001009 (unk. ctxt): nop ; 90\n";
        let stages = BTreeMap::from([(0xffff_ffff_8000_1001, "put")]);
        let spent = spend(trace.lines().filter_map(Step::parse), &stages);
        assert_eq!(spent, BTreeMap::from([("put", 1 + 10 + 1), (OUTSIDE, 1 + 1)]));
    }

    #[test]
    fn the_stage_of_a_function_is_known_by_its_name_or_its_file() {
        let of = |function, file| stage(function, file);
        assert_eq!(of("fetch<M>", "vnic/src/port.rs:9"), Some("fetch"));
        assert_eq!(of("fetch<V>", "kernel/src/vm/exits/context.rs:9"), None);
        assert_eq!(of("base::port::Port::put::<N>", "nic/src/port.rs:9"), Some("put"));
        assert_eq!(of("route", "kernel/crates/path/src/ingress.rs:9"), Some("queue"));
        assert_eq!(of("share", "kernel/crates/path/src/switch.rs:9"), Some("switch"));
        assert_eq!(of("serve", "kernel/src/net/segment.rs:9"), Some(ATTENDANCE));
        assert_eq!(of("paint", "kernel/crates/screen/src/painter.rs:9"), Some(SCREEN));
        assert_eq!(of("add", "kernel/crates/base/src/outbox.rs:9"), None);
    }
}
