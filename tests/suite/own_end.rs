//! Failures of Weir itself: its last report must help to find the cause.

use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::run::CLOSING_LINE;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, artifacts, require};
use libtest_mimic::Trial;
use std::process::Command;

/// The beginning of each line of the report, after its time.
const REPORT: &str = "PANIC weir: ";
/// The value that `self_test` leaves in R12 before the exception.
const MARK: &str = "r12 5e1f7e5700000012";
const GENERAL: [&str; 15] =
    ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial(backend, "a_panic_of_weir_is_reported", |test| {
            let report = end(test, "panic")?;
            let first = &report[0];
            require!(first.starts_with("panicked at kernel/src/self_test.rs:"), "{first}");
            require!(first.ends_with(": the configuration asks for a panic"), "{first}");
            check(&report, "self_test::broken_invariant")
        }),
        trial(backend, "an_exception_in_weir_is_reported", |test| {
            let report = end(test, "exception")?;
            require!(report[0].starts_with("exception 6 error 0x0 at 0xffffffff8"), "{}", report[0]);
            require!(report.iter().any(|line| line.contains(MARK)), "{MARK} is missing");
            check(&report, "self_test::exception")
        }),
        trial_needing(
            backend,
            &[Need::MachineCheck],
            "a_machine_check_that_harms_nobody_is_reported",
            |test| {
                let mut run = idle(test, 1, 1)?;
                run.allow("ERROR scheduler: machine check");
                for _ in 0..2 {
                    run.emulator.machine_check(0, UNUSED, GOES_ON)?;
                    run.expect("bank 1 status 0xb500000000000000, uncorrected, address 0x1000")?;
                }
                run.console.type_text(&format!("{ESCAPE}vm start later\r"))?;
                run.expect("later| PASS hello")?;
                run.finish()
            },
        ),
        trial_needing(backend, &[Need::MachineCheck], "a_machine_check_in_doubt_ends_weir", |test| {
            let mut run = idle(test, 1, 1)?;
            run.allow(REPORT);
            run.emulator.machine_check(0, UNUSED | IN_DOUBT, GOES_ON)?;
            run.expect("PANIC weir: exception 18")?;
            run.expect("PANIC weir: machine check, global status 0x5; bank 1 status 0xb700000000000000")?;
            run.expect("PANIC weir: stopped").map(drop)
        }),
        trial_needing(
            backend,
            &[Need::MachineCheck, Need::Threads],
            "a_thread_that_sleeps_outlives_machine_checks_of_others",
            a_thread_that_sleeps_outlives_machine_checks_of_others,
        ),
    ]
}

fn a_thread_that_sleeps_outlives_machine_checks_of_others(test: &Test) -> Outcome {
    let mut run = idle(test, 4, 2)?;
    run.allow("ERROR scheduler: machine check");
    // A bank of the emulator belongs to one thread, and keeps the first error: the second one adds OVER.
    for status in ["0xb580000000000000", "0xf580000000000000"] {
        run.emulator.machine_check(1, UNUSED | USED, GOES_ON)?;
        run.expect(&format!("bank 1 status {status}, uncorrected, address 0x1000"))?;
    }
    run.allow(REPORT);
    run.emulator.machine_check(1, UNUSED | IN_DOUBT, GOES_ON)?;
    run.expect("a processor that sleeps reports a machine check, global status 0x5; bank 1")?;
    run.expect("PANIC weir: stopped").map(drop)
}

/// IA32_MCi_STATUS: a valid, uncorrected error, with an address, that was signalled and that nobody has used; somebody has;
/// PCC; and IA32_MCG_STATUS: RIPV, MCIP [SDM3B 16.3].
const UNUSED: u64 = 1 << 63 | 1 << 61 | 1 << 60 | 1 << 58 | 1 << 56;
const USED: u64 = 1 << 55;
const IN_DOUBT: u64 = 1 << 57;
const GOES_ON: u64 = 5;
/// Opens the shell.
const ESCAPE: &str = "\x1e";

/// A machine whose processors wait for the operator, or sleep.
fn idle(test: &Test, cpus: u32, threads: u32) -> Outcome<Run> {
    let vm = VmSpec::micro("later", "hello", "")?.not_started();
    let mut scenario = Scenario::new(vec![vm]);
    (scenario.machine.cpus, scenario.machine.threads) = (cpus, threads);
    let mut run = Run::start(test, &scenario)?;
    run.allow("weir> ");
    run.expect("INFO  shell: ")?;
    Ok(run)
}

/// Runs two guests until they power off, waits until Weir fails, and returns the lines of its report.
fn end(test: &Test, kind: &'static str) -> Outcome<Vec<String>> {
    let vms = vec![VmSpec::micro("left", "hello", "")?, VmSpec::micro("right", "timer", "")?];
    let mut run = Run::start(test, &Scenario::new(vms).free().self_test(kind))?;
    run.allow(REPORT);
    run.expect(CLOSING_LINE)?;
    run.expect("PANIC weir: stopped")?;
    let text = run.console.text();
    let report = text.lines().skip_while(|line| !line.contains(REPORT));
    Ok(report.map(|line| line.split_once(REPORT).map_or(line, |(_, said)| said).to_owned()).collect())
}

/// Checks the contents of a report: registers, a backtrace from `innermost` to the boot, the end of the log, and
/// the last exits of each guest.
fn check(report: &[String], innermost: &str) -> Outcome {
    let section = |title: &str| {
        let start = report.iter().position(|line| line == title).map_or(report.len(), |at| at + 1);
        report[start..].iter().take_while(|line| line.starts_with(' ')).collect::<Vec<_>>()
    };
    for register in GENERAL.iter().chain(&["cr2", "cr3"]) {
        require!(report.iter().any(|line| shows(line, register)), "register {register} is missing");
    }
    let calls = symbols(report)?;
    for function in [innermost, "boot::start"] {
        require!(calls.contains(function), "{function} is not in the backtrace: {calls}");
    }
    let log = section("the end of the log:");
    require!(log.last().is_some_and(|line| line.contains(CLOSING_LINE)), "wrong end of the log: {log:?}");
    let exits = section("the last exits:");
    for guest in ["  guest 0 ", "  guest 1 "] {
        require!(exits.iter().any(|line| line.starts_with(guest)), "no exits of{guest}in {exits:?}");
    }
    Ok(())
}

/// True when a line contains the register with a value of 16 digits.
fn shows(line: &str, register: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| pair[0] == register && pair[1].len() == 16)
}

/// The functions in the backtrace, innermost first, found with the command that the report itself gives.
fn symbols(report: &[String]) -> Outcome<String> {
    let words = report.iter().find_map(|line| line.strip_prefix("backtrace: addr2line -fipe weir.elf "));
    let words = words.ok_or_else(|| Failure::Wrong("there is no backtrace".into()))?;
    let output = Command::new("addr2line")
        .arg("-Cfipe")
        .arg(artifacts::kernel()?)
        .args(words.split(' '))
        .output()
        .context("starting addr2line")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
