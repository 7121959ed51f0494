//! `run FOLDER [--config FILE] [--memory MIB] [--uefi]`: boots the images of a folder in an emulator, with the terminal as
//! COM1, and with as many NICs as the configuration names. If it has a team, each NIC is on a switch of its own, and all
//! switches are joined to one with the peer, which answers at 10.0.5.1; else each is on a network of its own. Ctrl-] is the
//! prefix of keys that quit, or pull and cut cables. The environment variable `ACCEL` chooses the backend.
#![forbid(unsafe_code)]

use end_to_end::backend::Need;
use end_to_end::cabling::Cabling;
use end_to_end::emulator::Emulator;
use end_to_end::failure::ErrorContext;
use end_to_end::keys::{KEYS, KeyAction, RunKeys};
use end_to_end::lan::LanPlan;
use end_to_end::machine::{EmulatedMachine, EmulatedNic, EmulatedNicModel, Firmware};
use end_to_end::run::plug;
use end_to_end::{Failure, Outcome, artifacts, choice, namespace};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Stdin, Write, stdin, stdout};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: run FOLDER [--config FILE] [--memory MIB] [--uefi]";
/// The most NICs that a machine gets: as many as there are keys for.
const MAX_NICS: usize = 8;

fn main() -> ExitCode {
    match arguments().and_then(|(images, machine)| run(&images, &machine)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("run: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<(PathBuf, EmulatedMachine)> {
    let usage = || Failure::Wrong(USAGE.into());
    let mut machine = EmulatedMachine::default();
    let mut images = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--config" => {
                let file = words.next().ok_or_else(usage)?;
                suit(&mut machine, &std::fs::read_to_string(&file).context(file)?);
            }
            "--memory" => {
                machine.memory = words.next().and_then(|text| text.parse().ok()).ok_or_else(usage)?;
            }
            "--uefi" => machine.firmware = Firmware::Uefi,
            option if option.starts_with('-') => return Err(usage()),
            path => images = Some(std::path::absolute(path).context(path)?),
        }
    }
    Ok((images.ok_or_else(usage)?, machine))
}

/// Gives a machine the NICs that a configuration names, and a LAN if it has a team.
fn suit(machine: &mut EmulatedMachine, configuration: &str) {
    let count = |table: &str| {
        let heads = configuration.lines().filter_map(|line| line.split('#').next());
        heads.filter(|head| head.split_whitespace().collect::<String>() == table).count()
    };
    let has_team = count("[[team]]") > 0;
    let nics = match count("[[nic]]") {
        0 if has_team => 2,
        named => named.clamp(1, MAX_NICS),
    };
    machine.nics = (0..nics).map(|nic| EmulatedNic::on_tap(nic, EmulatedNicModel::E1000)).collect();
    machine.lan = has_team.then(|| LanPlan::a_switch_each(nics));
}

fn run(images: &Path, machine: &EmulatedMachine) -> Outcome {
    let (backend, reasons) = choice::for_run()?;
    for reason in &reasons {
        eprintln!("run: {reason}");
    }
    let needs = [Need::Firmware(machine.firmware), Need::Nics(machine.nics.len())];
    if let Some(reason) = needs.iter().find_map(|need| backend.lacks(*need)) {
        return Err(Failure::Wrong(reason.into()));
    }
    let image = images.join(machine.firmware.image());
    let folder = artifacts::target().join("run");
    std::fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
    namespace::become_owner()?;
    namespace::enter()?;
    let lan = machine.lan.as_ref().map(|plan| Cabling::lay(plan, &folder)).transpose()?;
    if lan.is_none() {
        namespace::add_peers(&machine.taps())?;
    }
    let (emulator, serial) = Emulator::start(backend, machine, &image, &folder)?;
    let terminal = RawTerminal::enter()?;
    if terminal.is_some() {
        eprint!("{backend} boots {}. {KEYS}\r\n", image.display());
    }
    let (pulled, cut) = ([false; MAX_NICS], [false; MAX_NICS]);
    let mut session = Session { emulator, lan, nics: machine.nics.len(), pulled, cut };
    let quit = session.connect(serial, terminal.is_some())?;
    drop(terminal);
    if quit {
        eprintln!("\nquit");
        return Ok(());
    }
    session.emulator.wait_for_power_off(Duration::from_secs(60))
}

/// A machine at the terminal.
struct Session {
    emulator: Emulator,
    lan: Option<Cabling>,
    nics: usize,
    /// Whether the cable of a NIC has been pulled.
    pulled: [bool; MAX_NICS],
    /// Whether the way behind the first switch of a NIC has been cut.
    cut: [bool; MAX_NICS],
}

impl Session {
    /// Copies bytes in both directions until the machine powers off or the user quits, and returns whether the user
    /// did.
    fn connect(&mut self, mut serial: TcpStream, interactive: bool) -> Outcome<bool> {
        let keyboard = stdin();
        let mut keys = RunKeys::default();
        let mut buffer = [0; 4096];
        loop {
            let (from_machine, from_keyboard) = wait_for_either(&serial, interactive.then_some(&keyboard))?;
            if from_machine {
                let length = serial.read(&mut buffer).unwrap_or(0);
                if length == 0 {
                    return Ok(false);
                }
                let mut screen = stdout().lock();
                screen
                    .write_all(&buffer[..length])
                    .and_then(|()| screen.flush())
                    .context("writing the console")?;
            }
            if from_keyboard {
                let length = nix::unistd::read(&keyboard, &mut buffer).context("reading the keyboard")?;
                let mut typed = Vec::new();
                let mut quits = length == 0;
                for action in buffer[..length].iter().filter_map(|byte| keys.take(*byte)) {
                    match action {
                        KeyAction::Type(byte) => typed.push(byte),
                        KeyAction::Quit => quits = true,
                        KeyAction::Help => say(KEYS),
                        KeyAction::Cable(nic) => self.report(Self::toggle_cable, nic),
                        KeyAction::Behind(nic) => self.report(Self::toggle_way, nic),
                    }
                }
                if quits {
                    return Ok(true);
                }
                serial.write_all(&typed).context("typing")?;
            }
        }
    }

    /// Does something about a NIC, and prints what was done, or why not.
    fn report(&mut self, act: fn(&mut Self, usize) -> Outcome<String>, nic: usize) {
        let done = if nic < self.nics {
            act(self, nic)
        } else {
            Err(Failure::Wrong(format!("there is no nic{nic}")))
        };
        say(&done.unwrap_or_else(|failure| failure.to_string()));
    }

    fn toggle_cable(&mut self, nic: usize) -> Outcome<String> {
        let pulled = !self.pulled[nic];
        plug(&mut self.emulator, self.lan.as_ref(), nic, !pulled)?;
        self.pulled[nic] = pulled;
        Ok(format!("cable of nic{nic} {}", if pulled { "pulled" } else { "put back" }))
    }

    fn toggle_way(&mut self, nic: usize) -> Outcome<String> {
        let nowhere = || Failure::Wrong(format!("there is no switch behind that of nic{nic}: no team"));
        let lan = self.lan.as_ref().ok_or_else(nowhere)?;
        let (first, core) = (lan.plan().first_switch(nic).ok_or_else(nowhere)?, lan.plan().core());
        let cut = !self.cut[nic];
        if cut { lan.cut(&first, &core) } else { lan.join(&first, &core) }?;
        self.cut[nic] = cut;
        Ok(format!("way behind the switch of nic{nic} {}", if cut { "cut" } else { "restored" }))
    }
}

/// Tells the user something between the lines of the console.
fn say(text: &str) {
    eprint!("\r\nrun: {text}\r\n");
}

fn wait_for_either(serial: &TcpStream, keyboard: Option<&Stdin>) -> Outcome<(bool, bool)> {
    let mut waits = vec![PollFd::new(serial.as_fd(), PollFlags::POLLIN)];
    waits.extend(keyboard.map(|keyboard| PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)));
    poll(&mut waits, PollTimeout::NONE).context("waiting for input")?;
    let ready = |index: usize| waits.get(index).and_then(PollFd::any).unwrap_or(false);
    Ok((ready(0), ready(1)))
}

/// The terminal in raw mode. Dropping it restores the previous mode.
struct RawTerminal(Termios);

impl RawTerminal {
    /// `None` if standard input is no terminal.
    fn enter() -> Outcome<Option<Self>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).context("terminal")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).context("terminal")?;
        Ok(Some(Self(before)))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suited(configuration: &str) -> (usize, Option<LanPlan>) {
        let mut machine = EmulatedMachine::default();
        suit(&mut machine, configuration);
        (machine.nics.len(), machine.lan)
    }

    #[test]
    fn a_machine_has_the_nics_that_its_configuration_names() {
        assert_eq!(suited("[host]\n"), (1, None));
        assert_eq!(suited("[[nic]]\nname = \"nic0\"\n[[nic]] # second\n# [[nic]]\n"), (2, None));
        assert_eq!(suited("[[team]]\nname = \"lan\"\n"), (2, Some(LanPlan::a_switch_each(2))));
        assert_eq!(suited(&"[[nic]]\n[[team]]\n".repeat(9)), (8, Some(LanPlan::a_switch_each(8))));
    }
}
