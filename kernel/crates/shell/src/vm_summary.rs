//! What the operator reads about a VM.

use crate::{ActionRefusal, VmAction, VmRow, VmState};
use core::fmt;

/// What is known about a VM without asking its core.
#[derive(Clone, Copy, Debug)]
pub struct VmSummary {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The core that runs it.
    pub core: usize,
    /// Its state.
    pub state: VmState,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// Number of its vNICs.
    pub vnics: usize,
    /// Its exits, as of its last turn.
    pub exits: u64,
    /// Processor time it has used, in nanoseconds, as of its last turn.
    pub run_nanos: u64,
    /// Number of its starts.
    pub starts: u32,
}

impl VmSummary {
    /// Its row of `vm list`; `reason` is why it was stopped last, or cannot be used.
    #[must_use]
    pub fn row<'a>(&'a self, keyboard: bool, reason: &'a str) -> VmRow<'a> {
        VmRow {
            name: self.name,
            state: &self.state,
            cpu: self.core,
            memory: self.memory_bytes >> 20,
            vnics: self.vnics,
            exits: self.exits,
            keyboard,
            reason: if self.state == VmState::Unusable { reason } else { "" },
        }
    }

    /// Passes the lines of `vm status` to `say`.
    pub fn tell_status(&self, reason: &str, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let Self { name, state, core, vnics, starts, .. } = self;
        let memory = self.memory_bytes >> 20;
        say(format_args!("{name}: {state}, core {core}, {memory} MiB, vNICs {vnics}, starts {starts}"));
        if !reason.is_empty() {
            let why = if *state == VmState::Unusable { "why" } else { "last stop" };
            say(format_args!("{name}: {why}: {reason}"));
        }
    }

    /// Passes its line of `stats` to `say`.
    pub fn tell_usage(&self, say: &mut dyn FnMut(fmt::Arguments<'_>)) {
        let Self { name, starts, exits, .. } = self;
        let (seconds, millis) = (self.run_nanos / 1_000_000_000, self.run_nanos / 1_000_000 % 1000);
        say(format_args!("{name}: starts {starts}, ran {seconds}.{millis:03} s, exits {exits}"));
    }

    /// Passes what has come of an action to `say`; the result says whether its core has answered.
    pub fn tell_outcome(
        &self,
        action: VmAction,
        result: Result<bool, ActionRefusal>,
        reason: &str,
        say: &mut dyn FnMut(fmt::Arguments<'_>),
    ) {
        let Self { name, state, .. } = self;
        match result {
            Ok(true) => say(format_args!("{name}: {state}")),
            Ok(false) => say(format_args!("{name}: {state}; {action} waits for its core")),
            Err(refusal @ ActionRefusal::Unusable) => {
                say(format_args!("{name}: no {action}: {refusal}: {reason}"));
            }
            Err(refusal) => say(format_args!("{name}: no {action}: {refusal}")),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    const WEB: VmSummary = VmSummary {
        name: "web",
        core: 1,
        state: VmState::Paused,
        memory_bytes: 256 << 20,
        vnics: 2,
        exits: 903,
        run_nanos: 1_002_999_999,
        starts: 3,
    };

    fn told(tell: impl FnOnce(&mut dyn FnMut(fmt::Arguments<'_>))) -> Vec<String> {
        let mut lines = Vec::new();
        tell(&mut |line| lines.push(line.to_string()));
        lines
    }

    #[test]
    fn a_vm_is_described_with_the_reason_for_its_last_stop() {
        let lines = told(|say| WEB.tell_status("reset", say));
        assert_eq!(lines, ["web: paused, core 1, 256 MiB, vNICs 2, starts 3", "web: last stop: reset"]);
        assert_eq!(told(|say| WEB.tell_status("", say)).len(), 1);
        assert_eq!(told(|say| WEB.tell_usage(say)), ["web: starts 3, ran 1.002 s, exits 903"]);
        assert!(!WEB.row(false, "reset").to_string().contains("reset"));
        let unusable = VmSummary { state: VmState::Unusable, ..WEB };
        assert!(unusable.row(false, "no memory").to_string().ends_with("903  no memory"));
        assert_eq!(told(|say| unusable.tell_status("no memory", say))[1], "web: why: no memory");
    }

    #[test]
    fn the_outcome_of_an_action_is_told() {
        let outcome =
            |result| told(|say| WEB.tell_outcome(VmAction::Pause, result, "no memory", say)).concat();
        assert_eq!(outcome(Ok(true)), "web: paused");
        assert_eq!(outcome(Ok(false)), "web: paused; pause waits for its core");
        assert_eq!(outcome(Err(ActionRefusal::NotOn(VmState::Paused))), "web: no pause: it is paused");
        assert_eq!(outcome(Err(ActionRefusal::Unusable)), "web: no pause: it is unusable: no memory");
    }
}
