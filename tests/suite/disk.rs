//! A guest whose root is a disk on the network. By name only, since it takes three boots of Linux and packages that
//! nothing else needs: `make one TEST=a_guests_disk`.

use crate::linux::BOOT;
use crate::{lifecycle::open_shell, trial_needing};
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::process::Process;
use end_to_end::run::STEP;
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, artifacts, require};
use libtest_mimic::Trial;
use std::fs;

const GUEST: &str = "10.0.5.11";
const GUEST_MAC: &str = "52:54:00:05:00:11";
const SERVER: &str = "10.0.5.1";
/// The usual port of NBD.
const PORT: u16 = 10809;

/// What the name of the trial begins with.
pub const NAME: &str = "a_guests_disk";

pub fn trials(backend: Backend) -> Vec<Trial> {
    let name = "a_guests_disk_on_the_network_keeps_its_files";
    vec![trial_needing(backend, &[Need::MoreLinuxBoots], name, keeps_its_files)]
}

/// Files are still there after the operator has stopped the guest amid writing, and after the guest's own restart.
fn keeps_its_files(test: &Test) -> Outcome {
    let command_line = format!("quiet console=ttyS0,115200 weir.ip={GUEST}/24 weir.nbd={SERVER}");
    let vm = VmSpec::unpacked_linux("linux", &command_line)?
        .with_initrd(artifacts::disk("initrd.cpio")?)
        .nic(GUEST_MAC);
    let mut run = Run::start(test, &Scenario::new(vec![vm]))?;
    let mut server = serve(&run)?;
    // The server listens long before the guest has booted.
    drop(server.connect(PORT)?);
    run.expect_within("linux| weir guest: root on /dev/nbd0, started 1 times", BOOT)?;
    run.expect("/ # ")?;
    run.shell("linux", "dd if=/dev/urandom of=/kept bs=64k count=32 && sha256sum /kept >/sum && sync", STEP)?;
    run.console.type_text("while true; do dd if=/dev/zero of=/more bs=64k count=32 2>&1; done\n")?;
    run.expect("records out")?;
    open_shell(&mut run)?;
    run.console.type_text("vm stop linux\r")?;
    run.expect("weir| linux: stopped")?;
    run.console.type_text("vm start linux\rconsole linux\r")?;
    run.expect_within("linux| weir guest: root on /dev/nbd0, started 2 times", BOOT)?;
    run.expect("/ # ")?;
    run.shell("linux", "sha256sum -c /sum", STEP)?;
    run.console.type_text("sync; reboot -f\n")?;
    run.expect_within("linux| weir guest: root on /dev/nbd0, started 3 times", BOOT)?;
    run.expect("/ # ")?;
    run.shell("linux", "sha256sum -c /sum", STEP)?;
    let journal = run.shell("linux", "dmesg | grep -e 'EXT4-fs error' -e 'I/O error' || true", STEP)?;
    require!(!journal.lines().any(|line| line.contains("error")), "{journal}");
    run.console.type_text("sync; poweroff -f\n")?;
    run.finish()
}

/// An NBD server at the far side of the wire, with a copy of the disk. After the guest was stopped, the server keeps its
/// connection until TCP gives it up.
fn serve(run: &Run) -> Outcome<Process> {
    let folder = run.folder().join("nbd");
    fs::create_dir_all(&folder).context("nbd")?;
    fs::copy(artifacts::disk("disk.img")?, folder.join("disk.img")).context("copying disk.img")?;
    let arguments = ["-t", "-e", "8", "-f", "raw", "disk.img"].map(str::to_owned);
    Process::start(&artifacts::disk("qemu-nbd")?, &arguments, &folder)
}
