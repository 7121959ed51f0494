//! What cannot be used stands alone: a guest that cannot be built. And one that can, although no piece of the machine's
//! memory is as large as its own.

use crate::lifecycle::command;
use crate::misbehaviour::stop;
use crate::{trial, trial_needing};
use end_to_end::backend::Need;
use end_to_end::pinger::answers;
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;

const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const ECHO_MAC: &str = "52:54:00:00:01:02";
/// More than the emulated machine has.
const TOO_MUCH: u32 = 2048;

pub fn trials(backend: Backend) -> Vec<Trial> {
    vec![
        trial(backend, "guests_that_cannot_be_built_are_listed_and_the_others_run", beside_a_good_guest),
        trial(backend, "the_shell_is_there_when_no_guest_can_be_built", alone),
        trial_needing(
            backend,
            &[Need::HighMemory],
            "a_guest_larger_than_any_piece_of_memory_runs",
            in_pieces,
        ),
    ]
}

/// The header of a bzImage of boot protocol 2.15 without a 64-bit entry point.
fn kernel_of_32_bits() -> Vec<u8> {
    let mut image = vec![0; 0x1000];
    for (at, bytes) in [(0x1f1, &[2][..]), (0x200, &[0xeb, 0x6a]), (0x202, b"HdrS"), (0x206, &[15, 2])] {
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    image
}

fn beside_a_good_guest(test: &Test) -> Outcome {
    let folder = test.empty_folder()?;
    let mut elf_of_32_bits = b"\x7fELF\x01\x01\x01".to_vec();
    elf_of_32_bits.resize(100, 0);
    let vms = vec![
        // It would have the keyboard.
        VmSpec::micro("large", "hello", "")?.memory(TOO_MUCH),
        VmSpec::micro("later", "hello", "")?.memory(TOO_MUCH).not_started(),
        VmSpec::micro("linux32", "hello", "")?.with_kernel(&folder, &kernel_of_32_bits())?,
        VmSpec::micro("elf32", "hello", "")?.with_kernel(&folder, &elf_of_32_bits)?.not_started(),
        VmSpec::micro("good", "nic_echo", &format!("ip={ECHO}"))?.nic(ECHO_MAC),
    ];
    let mut run = Run::start_in(test.backend, folder, &Scenario::new(vms).unchecked())?;
    run.allow("weir> ");
    run.allow(": unusable: ");
    for name in ["large", "later"] {
        run.expect(&format!("{name}: unusable: it needs 2048 MiB of memory, and "))?;
    }
    run.expect("linux32: unusable: the kernel has no 64-bit entry point: xloadflags is 0x0")?;
    run.expect("elf32: unusable: the ELF executable cannot be started: EI_CLASS is 0x1, and must be 2")?;
    run.expect("good has the keyboard")?;
    run.expect("good| READY")?;
    require!(answers(ECHO, STEP)?, "the good guest does not answer");
    run.console.type_text("\x1e")?;
    run.expect("weir> ")?;
    command(&mut run, "vm list", "large            unusable ")?;
    run.expect("it needs 2048 MiB of memory")?;
    run.expect("later            unusable ")?;
    run.expect("elf32            unusable ")?;
    // Idle, or at this moment not.
    run.expect("good             ")?;
    run.expect(" keyboard")?;
    command(&mut run, "vm status later", "later: why: it needs 2048 MiB of memory, and ")?;
    run.expect("give it or the guests before it less")?;
    command(&mut run, "vm start large", "large: no start: it is unusable: it needs 2048 MiB")?;
    command(&mut run, "console large", "large: no console: it is unusable: it needs 2048 MiB")?;
    command(&mut run, "stats large", "no statistics of the VM: it is unusable")?;
    require!(answers(ECHO, STEP)?, "the good guest does not answer any more");
    stop(ECHO)?;
    run.expect("good| PASS nic_echo")?;
    // No guest is left that could be started.
    run.finish()
}

fn alone(test: &Test) -> Outcome {
    let vms = vec![VmSpec::micro("large", "hello", "")?.memory(TOO_MUCH)];
    let mut run = Run::start(test, &Scenario::new(vms))?;
    run.allow("weir> ");
    run.allow("large: unusable: ");
    run.allow("no guest can be used");
    run.expect("no guest can be used: vm list says why")?;
    run.expect("weir> ")?;
    command(&mut run, "vm list", "large            unusable ")?;
    // There is no guest to return to.
    run.console.type_text("\x1e\x1e")?;
    command(&mut run, "console", "no guest can be used")?;
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}

/// Half of the machine's memory is below 4 GiB, and half above. There is little: the guest writes to every page of its own.
fn in_pieces(test: &Test) -> Outcome {
    let vms = vec![
        VmSpec::micro("large", "whole_memory", "")?.memory(120),
        // Keeps Weir on.
        VmSpec::micro("other", "hello", "")?.not_started(),
    ];
    let mut scenario = Scenario::new(vms).free();
    (scenario.machine.memory, scenario.machine.low_memory) = (192, Some(96));
    let mut run = Run::start(test, &scenario)?;
    run.allow("weir> ");
    run.expect("large: its memory is in 2 pieces of the machine's")?;
    run.expect("large| PASS whole_memory")?;
    run.expect("large: powered off")?;
    run.console.type_text("\x1e")?;
    run.expect("weir> ")?;
    // All of it is cleared again.
    run.console.type_text("vm start large\r")?;
    run.expect("large| PASS whole_memory")?;
    run.console.type_text("poweroff\r")?;
    run.finish_with("powering off (operator request)")
}
