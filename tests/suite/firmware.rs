//! All ways to boot Weir: BIOS and UEFI from a disk, UEFI from the network by its own PXE and by iPXE, a BIOS from the
//! network by iPXE; and the log on the screen of a machine without a serial port.

use crate::linux::BOOT;
use crate::trial_needing;
use end_to_end::backend::Need;
use end_to_end::machine::{Chipset, EmulatedNicModel, Firmware, Wire};
use end_to_end::run::STEP;
use end_to_end::{Backend, Failure, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::thread::sleep;
use std::time::{Duration, Instant};

const MAC: &str = "52:54:00:05:00:11";
const PROMPT: &str = "linux| / # ";
/// Interval at which the screen is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub fn trials(backend: Backend) -> Vec<Trial> {
    let shell = [Firmware::Bios, Firmware::Uefi, Firmware::Pxe, Firmware::Ipxe].map(|firmware| {
        let name = format!("{}_boots_a_guest_to_its_shell", name(firmware));
        trial_needing(backend, &[Need::Firmware(firmware), Need::MoreLinuxBoots], name, move |test| {
            shell(test, firmware)
        })
    });
    let screen = [Firmware::Bios, Firmware::Uefi].map(|firmware| {
        let name = format!("{}_without_a_serial_port_shows_the_log_on_the_screen", name(firmware));
        let needs = [Need::Firmware(firmware), Need::Screen];
        trial_needing(backend, &needs, name, move |test| screen(test, firmware))
    });
    let network = trial_needing(
        backend,
        &[Need::Firmware(Firmware::BiosIpxe)],
        "ipxe_on_a_bios_boots_a_guest_from_the_network",
        bios_network,
    );
    shell.into_iter().chain(screen).chain([network]).collect()
}

fn name(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "bios",
        Firmware::Uefi => "uefi",
        Firmware::Pxe => "uefi_pxe",
        Firmware::Ipxe => "ipxe",
        Firmware::BiosIpxe => "bios_ipxe",
    }
}

/// Kernel, configuration and guest are loaded; the guest boots to its shell and reaches the wire. With iPXE that
/// is the wire of the same NIC over which Weir was loaded.
fn shell(test: &Test, firmware: Firmware) -> Outcome {
    let vm = VmSpec::linux("linux", "console=ttyS0,115200 weir.ip=10.0.5.11/24")?.nic(MAC);
    let mut scenario = Scenario::new(vec![vm]).with_nics(&[EmulatedNicModel::E1000]).with_firmware(firmware);
    if firmware.is_uefi() {
        scenario.machine.chipset = Chipset::Q35;
    }
    if firmware == Firmware::Ipxe {
        scenario.machine.nics[0].wire = Wire::Server;
    }
    let mut run = Run::start(test, &scenario)?;
    if firmware == Firmware::Pxe {
        // Weir does not use the NIC over which it was loaded.
        run.allow("NIC 00:1d.0 [1af4:1000] has no driver: not used");
    }
    run.expect("INFO  boot: Weir ")?;
    run.expect("[8086:100e] driver e1000 MAC 52:54:00:00:00:01")?;
    run.expect_within(PROMPT, BOOT)?;
    run.shell("linux", "ping -c 1 -W 10 10.0.5.1", STEP)?;
    run.console.type_text("poweroff -f\n")?;
    run.finish()
}

/// A machine without a disk: the BIOS starts iPXE, which loads Weir over the NIC that Weir drives afterwards.
fn bios_network(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "hello", "")?.nic(MAC);
    let mut scenario = Scenario::new(vec![vm]).with_firmware(Firmware::BiosIpxe).free();
    scenario.machine.nics[0].wire = Wire::Server;
    let mut run = Run::start(test, &scenario)?;
    run.expect("INFO  boot: Weir ")?;
    run.expect("[8086:100e] driver e1000 MAC 52:54:00:00:00:01")?;
    run.expect("vm0| PASS hello")?;
    run.finish()
}

/// The screen shows the whole log, glyph by glyph, and not the guest's console.
fn screen(test: &Test, firmware: Firmware) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_echo", "ip=10.0.5.2")?.nic(MAC);
    let mut scenario = Scenario::new(vec![vm]).with_firmware(firmware).free();
    scenario.machine.serial = false;
    let mut run = Run::start(test, &scenario)?;
    let rows = screen_with(&mut run, "INFO  shell: vm0 has the keyboard")?;
    require!(
        rows[0].ends_with("no console can be reached"),
        "the first row is not the first line of the log: {rows:#?}"
    );
    for (row, text) in rows.iter().zip(["WARN  boot: no serial port answers at 0x3f8", "INFO  boot: Weir "]) {
        require!(row.starts_with("[    0.") && row.contains(text), "\"{text}\" is not in \"{row}\"");
    }
    for text in ["INFO  vm: vm0: ", "INFO  net: nic0: NIC 00:04.0 [8086:100e]", "INFO  launch: booted in"] {
        require!(rows.iter().any(|row| row.contains(text)), "no row has \"{text}\": {rows:#?}");
    }
    let unexpected: Vec<&String> = rows
        .iter()
        .filter(|row| row.contains(char::REPLACEMENT_CHARACTER) || row.contains("vm0| "))
        .collect();
    require!(unexpected.is_empty(), "on the screen: {unexpected:#?}");
    let text = run.console.text();
    require!(text.is_empty(), "output on the serial port that the machine does not have: {text}");
    Ok(())
}

/// Reads the screen until a row contains this text, when the rows before it are complete.
fn screen_with(run: &mut Run, text: &str) -> Outcome<Vec<String>> {
    let start = Instant::now();
    loop {
        let rows = run.screen()?;
        if rows.iter().any(|row| row.contains(text)) {
            return Ok(rows);
        }
        if start.elapsed() > STEP {
            let context = format!("{text} on the screen, which shows {rows:#?}");
            return Err(Failure::Missing { text: context, limit: STEP });
        }
        sleep(POLL_INTERVAL);
    }
}
