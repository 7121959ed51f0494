//! Machines that firmware describes in other ways than QEMU's own: processors named twice, no PM timer, damaged tables,
//! several root buses, IOMMUs.

use crate::misbehaviour::stop;
use crate::trial_needing;
use end_to_end::acpi::{
    FirmwareTables, SOFT_OFF, fadt, io_apic, local_apic, local_x2apic, madt, register, table,
};
use end_to_end::backend::Need;
use end_to_end::failure::ErrorContext;
use end_to_end::machine::{Chipset, EmulatedNicModel};
use end_to_end::pinger::{Pinger, answers};
use end_to_end::run::{CLOSING_LINE, STEP};
use end_to_end::{Backend, Outcome, Run, Scenario, Test, VmSpec, require};
use libtest_mimic::Trial;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

const ECHO: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const ECHO_MAC: &str = "52:54:00:00:01:02";

pub fn trials(backend: Backend) -> Vec<Trial> {
    let needs = [Need::Chipset(Chipset::Q35)];
    let trial = |name, act: fn(&Test) -> Outcome| trial_needing(backend, &needs, name, act);
    vec![
        trial("a_machine_with_processors_named_twice_starts_each_once", named_twice),
        trial("a_machine_that_lists_a_hundred_processors_starts_with_one", absent),
        trial("a_machine_without_fixed_hardware_has_a_clock_and_goes_off", hardware_reduced),
        trial("a_machine_with_damaged_tables_uses_what_is_intact", damaged_tables),
        trial("a_machine_whose_acpi_tables_cannot_be_read_runs_its_guest", no_tables),
        trial("a_machine_with_two_root_buses_uses_a_nic_on_the_second", second_root_bus),
        trial("a_machine_with_pci_express_gets_intx_interrupts", intx_interrupts),
    ]
}

/// Fields of FADT for QEMU's Q35 as its firmware sets it up: PM1a control, PM timer.
const PM1A_CONTROL: (usize, &[u8]) = (64, &[0x04, 0x06, 0, 0]);
const PM_TIMER: (usize, &[u8]) = (76, &[0x08, 0x06, 0, 0]);
/// Processors that are enabled.
const ENABLED: u32 = 1;

/// A guest that says hello on a Q35 with these tables.
fn hello(tables: FirmwareTables) -> Outcome<Scenario> {
    let mut scenario = Scenario::new(vec![VmSpec::micro("vm0", "hello", "")?]).free();
    scenario.machine.chipset = Chipset::Q35;
    scenario.machine.nics.clear();
    scenario.machine.tables = Some(tables);
    Ok(scenario)
}

/// Each processor is in a Local APIC and in a Local x2APIC structure, one is off, and one entry means all of them.
fn named_twice(test: &Test) -> Outcome {
    let entries = [
        vec![local_apic(0, ENABLED), local_apic(2, ENABLED), local_apic(1, ENABLED), local_apic(3, 0)],
        vec![local_apic(0xff, ENABLED), local_x2apic(u32::MAX, ENABLED)],
        (0..3).map(|id| local_x2apic(id, ENABLED)).collect(),
        vec![io_apic()],
    ];
    let dsdt = table(b"DSDT", SOFT_OFF);
    let tables = FirmwareTables::new(vec![dsdt, fadt(&[PM1A_CONTROL, PM_TIMER]), madt(&entries.concat())]);
    let mut scenario = hello(tables)?;
    scenario.machine.cpus = 4;
    scenario.machine.threads = 2;
    scenario.machine.topology = ",sockets=2";
    let mut run = Run::start(test, &scenario)?;
    run.expect("has 5 processor entries with an invalid or a repeated id: skipped")?;
    run.expect("MiB usable, 3 processors, TSC ")?;
    run.expect("vm0| PASS hello")?;
    run.finish()
}

/// A hundred processors that are listed and not there.
fn absent(test: &Test) -> Outcome {
    let entries: Vec<_> = (0..=100).map(|id| local_apic(id, ENABLED)).collect();
    let dsdt = table(b"DSDT", SOFT_OFF);
    let madt = madt(&[entries.concat(), io_apic()]);
    let tables = FirmwareTables::new(vec![dsdt, fadt(&[PM1A_CONTROL, PM_TIMER]), madt]);
    let mut run = Run::start(test, &hello(tables)?)?;
    run.allow("WARN  startup: processor ");
    run.allow("do not start: if they exist");
    run.expect("startup: 100 of 100 processors do not start")?;
    run.expect("vm0| PASS hello")?;
    run.finish()?;
    let text = run.console.text();
    let own = text
        .split_once("tables, rings and heap ")
        .and_then(|(_, rest)| rest.split_once(" KiB")?.0.parse().ok());
    require!(own.is_some_and(|kib: u32| kib < 10 << 10), "Weir itself has {own:?} KiB");
    Ok(())
}

/// No PM timer, no PM1 control: the HPET is the clock, and sleep control is the upper half of what PM1 control would be.
fn hardware_reduced(test: &Test) -> Outcome {
    let sleep_control = register(1, 8, 0x605);
    let fadt = fadt(&[PM1A_CONTROL, PM_TIMER, (112, &(1u32 << 20).to_le_bytes()), (244, &sleep_control)]);
    let hpet = [&[0; 4][..], &register(0, 64, 0xfed0_0000), &[0; 4]].concat();
    let madt = madt(&[local_apic(0, ENABLED), io_apic()]);
    let tables = [table(b"DSDT", SOFT_OFF), fadt, madt, table(b"HPET", &hpet)];
    let mut run = Run::start(test, &hello(FirmwareTables::new(tables.to_vec()))?)?;
    run.expect("TSC frequency measured with the HPET")?;
    run.expect("vm0| PASS hello")?;
    run.finish()
}

/// Two FADTs of which the first is damaged, a MADT that ends within an entry, entries of XSDT that lead nowhere, a DMAR
/// with a structure of length 0, and no timer but the PIT.
fn damaged_tables(test: &Test) -> Outcome {
    let mut damaged = fadt(&[(64, &[0x04, 0x0f, 0, 0]), (76, &[0x08, 0x0f, 0, 0])]);
    damaged.truncate(116);
    damaged[4..8].copy_from_slice(&116u32.to_le_bytes());
    let madt = madt(&[local_apic(0, ENABLED), io_apic(), vec![0, 40, 1, 1]]);
    let dmar = table(b"DMAR", &[0; 16]);
    let mut odd = table(b"ODD!", &[]);
    odd[4..8].copy_from_slice(&[0xff; 4]);
    let tables = [damaged, fadt(&[PM1A_CONTROL]), madt, dmar, odd, table(b"DSDT", SOFT_OFF)];
    let tables = FirmwareTables::new(tables.to_vec())
        .with_entry(0)
        .with_entry(0xffff_ffff_ffff_f000)
        .with_entry(1 << 46);
    let mut run = Run::start(test, &hello(tables)?)?;
    let lines = [
        "the firmware's list of tables points to 0x400000000000, where no table is: skipped",
        "the firmware's list of tables points to 0xfffffffffffff000, where no table is: skipped",
        "where no table is: skipped",
        "the firmware has several tables FACP: the first intact one is used",
        "the firmware's table APIC ends within an entry: the rest is left out",
        "the firmware's table DMAR ends within an entry: the rest is left out",
    ];
    lines.iter().for_each(|line| run.allow(line));
    run.expect("TSC frequency measured with the PIT")?;
    run.expect("vm0| PASS hello")?;
    run.finish()?;
    let text = run.console.text();
    for line in lines {
        require!(text.contains(line), "\"{line}\" is not in the log");
    }
    Ok(())
}

/// Weir cannot switch this machine off.
fn no_tables(test: &Test) -> Outcome {
    let mut run = Run::start(test, &hello(FirmwareTables::default())?)?;
    run.allow("the firmware's ACPI tables are damaged");
    run.allow("no way to switch the machine off");
    run.expect("neither XSDT nor RSDT can be read: one processor is used")?;
    run.expect("vm0| PASS hello")?;
    run.expect(CLOSING_LINE).map(drop)
}

/// The NIC is behind a port of a host bridge with buses from 64 on; an IOMMU is there and off.
fn second_root_bus(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_echo", &format!("ip={ECHO}"))?.nic(ECHO_MAC);
    let mut scenario = Scenario::new(vec![vm]).with_nics(&[EmulatedNicModel::E1000e]);
    scenario.machine.chipset = Chipset::Q35;
    scenario.machine.qemu = [
        "-device intel-iommu",
        "-device pxb-pcie,id=second,bus_nr=64,bus=pcie.0,addr=10",
        "-device pcie-root-port,id=below,bus=second,chassis=1,slot=1,addr=0",
    ]
    .map(str::to_owned)
    .to_vec();
    scenario.machine.nics[0].behind = Some("below");
    let mut run = Run::start(test, &scenario)?;
    run.expect("IOMMU at 0xfed90000 is off")?;
    run.expect("nic0: NIC 41:00.0 [8086:10d3] driver e1000e ")?;
    run.expect("| READY")?;
    require!(answers(ECHO, STEP)?, "no answer to ping");
    stop(ECHO)?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()
}

/// The interrupt line comes from AML, and interrupts come: after more than a second of traffic nothing says otherwise.
/// A further table has packages that would fill Weir's heap if they were built. Firmware asks not to use x2APIC mode,
/// which the processor has.
fn intx_interrupts(test: &Test) -> Outcome {
    let vm = VmSpec::micro("vm0", "nic_echo", &format!("ip={ECHO}"))?.nic(ECHO_MAC);
    let mut scenario = Scenario::new(vec![vm]).with_nics(&[EmulatedNicModel::E1000]);
    scenario.machine.chipset = Chipset::Q35;
    scenario.machine.cpu_model = Some("max,x2apic=on");
    let folder = test.empty_folder()?;
    let dmar = folder.join("dmar.bin");
    // X2APIC_OPT_OUT, and no units.
    std::fs::write(&dmar, [38, 0b10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).context("dmar.bin")?;
    let dmar = std::path::absolute(&dmar).context("dmar.bin")?;
    let large = folder.join("ssdt.bin");
    // Device (LRGE) {Name (_HID, Package (255) {Package (255) {}, ...})}: 255 of them, each in three bytes.
    let packages = [&[0x12, 0x40, 0x30, 255][..], &[0x12, 2, 255].repeat(255)].concat();
    let device = [&[0x5b, 0x82, 0x4c, 0x30][..], b"LRGE\x08_HID", &packages].concat();
    std::fs::write(&large, device).context("ssdt.bin")?;
    let large = std::path::absolute(&large).context("ssdt.bin")?;
    scenario.machine.qemu = vec![
        format!("-acpitable sig=DMAR,rev=1,data={}", dmar.display()),
        format!("-acpitable sig=SSDT,rev=1,data={}", large.display()),
    ];
    let mut run = Run::start_in(test.backend, folder, &scenario)?;
    run.expect("in xAPIC mode, since firmware asks not to use x2APIC (DMAR)")?;
    run.expect("interrupts: INTx on GSI 2")?;
    run.expect("| READY")?;
    require!(answers(ECHO, STEP)?, "no answer to ping");
    let pinger = Pinger::start(ECHO, STEP)?;
    sleep(Duration::from_secs(3));
    let tally = pinger.stop()?;
    require!(tally.missed.is_empty() && tally.sent > 0, "ping: {tally:?}");
    stop(ECHO)?;
    run.expect("vm0| PASS nic_echo")?;
    run.finish()
}
