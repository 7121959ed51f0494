//! What a well-behaved guest may rely on, each with one micro-guest.

use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec};
use libtest_mimic::Trial;

const VNIC: &str = "52:54:00:00:01:01";

pub fn trials(backend: Backend) -> Vec<Trial> {
    let mut trials: Vec<Trial> = [
        ("hello", "a guest starts, reads its command line, and powers off"),
        ("cpuid_msr", ""),
        ("timer", ""),
        ("exceptions", ""),
        ("events", ""),
        ("interrupt_self", ""),
        ("unmapped_memory", ""),
        ("extended_state", "rounds=40 pattern=5"),
    ]
    .into_iter()
    .map(|(guest, command_line)| trial(backend, guest, move |test| passes(test, guest, command_line)))
    .collect();
    trials.push(trial(backend, "two_guests_keep_their_own_registers", two_guests_keep_their_own_registers));
    trials.push(trial(backend, "the_command_line_arrives_as_written", the_command_line_arrives_as_written));
    trials.push(trial_needing(backend, &[Need::Threads], "one_thread_of_each_core_runs_guests", |test| {
        threads_run(test, false)
    }));
    trials.push(trial(backend, "with_smt_every_thread_runs_guests", |test| threads_run(test, true)));
    trials.push(trial(backend, "all_guests_say_hello_at_once", all_guests_say_hello_at_once));
    trials.push(trial(backend, "a_line_typed_at_once_arrives_whole", a_line_typed_at_once_arrives_whole));
    trials
}

/// The guest reports PASS, and Weir powers the machine off.
fn passes(test: &Test, guest: &str, command_line: &str) -> Outcome {
    let vm = VmSpec::micro("vm0", guest, command_line)?.nic(VNIC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]).free())?;
    run.expect(&format!("vm0| PASS {guest}"))?;
    run.finish()
}

/// Two cores with two threads each: by default one thread of each runs guests, and the log says what is left.
fn threads_run(test: &Test, smt: bool) -> Outcome {
    let vms = (0..2).map(|core| Ok(VmSpec::micro(&format!("vm{core}"), "hello", "")?.on_core(core)));
    let mut scenario = Scenario::new(vms.collect::<Outcome<_>>()?).free();
    (scenario.machine.cpus, scenario.machine.threads) = (4, 2);
    if smt {
        scenario = scenario.smt();
    }
    let mut run = Run::start(test, &scenario)?;
    run.expect(if smt { "4 cores run" } else { "2 cores run" })?;
    if !smt {
        run.expect("2 threads of theirs stay unused, unless smt = true in [host]")?;
    }
    run.expect("| PASS hello")?;
    run.expect("| PASS hello")?;
    run.finish()
}

fn two_guests_keep_their_own_registers(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("left", "extended_state", "rounds=40 pattern=3")?,
        VmSpec::micro("right", "extended_state", "rounds=40 pattern=11")?,
    ];
    let mut run = Run::start(test, &Scenario::new(vms).free())?;
    // Both started, in any order, before either passed: they did share the processor.
    run.expect("| START extended_state")?;
    run.expect("| START extended_state")?;
    run.expect("| PASS extended_state")?;
    run.expect("| PASS extended_state")?;
    run.finish()
}

fn the_command_line_arrives_as_written(test: &Test) -> Outcome {
    let words = "quiet key=value  two   spaces = # ; ' $HOME";
    let vm = VmSpec::micro("vm0", "hello", words)?;
    let mut run = Run::start(test, &Scenario::new(vec![vm]).free())?;
    run.expect(&format!("vm0| command line: {words}\r\n"))?;
    run.expect("vm0| PASS hello")?;
    run.finish()
}

fn all_guests_say_hello_at_once(test: &Test) -> Outcome {
    let vms =
        (0..6).map(|index| VmSpec::micro(&format!("vm{index}"), "hello", "")).collect::<Outcome<Vec<_>>>()?;
    let mut run = Run::start(test, &Scenario::new(vms).free())?;
    run.finish()?;
    for index in 0..6 {
        let verdict = format!("vm{index}| PASS hello");
        end_to_end::require!(
            run.console.count(&verdict) == 1,
            "\"{verdict}\" came {} times",
            run.console.count(&verdict)
        );
    }
    Ok(())
}

/// 5,000 bytes, as when a file is pasted: more than the UARTs hold and than the guest, which echoes each byte, reads
/// meanwhile; less than Weir keeps for a guest.
fn a_line_typed_at_once_arrives_whole(test: &Test) -> Outcome {
    let line: String = (b'!'..=b'~').cycle().take(5000).map(char::from).collect();
    let vm = VmSpec::micro("vm0", "typed_line", "")?;
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    run.expect("vm0| READY")?;
    run.console.type_text(&format!("{line}\n"))?;
    run.expect(&format!("vm0| TYPED {line}\r\n"))?;
    run.expect("vm0| PASS typed_line")?;
    run.finish()
}
