//! `run FOLDER [--memory MIB] [--uefi]`: boots the images of a folder in an emulator, with the terminal as COM1
//! and a NIC on a network of its own, whose far side answers at 10.0.5.1. Ctrl-] quits. The environment variable
//! `ACCEL` chooses the backend.
#![forbid(unsafe_code)]

use end_to_end::backend::Need;
use end_to_end::emulator::Emulator;
use end_to_end::failure::ErrorContext;
use end_to_end::machine::{EmulatedMachine, Firmware};
use end_to_end::{Failure, Outcome, artifacts, choice, namespace};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Stdin, Write, stdin, stdout};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Ctrl-].
const QUIT: u8 = 0x1d;
const USAGE: &str = "usage: run FOLDER [--memory MIB] [--uefi]";

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

fn run(images: &Path, machine: &EmulatedMachine) -> Outcome {
    let (backend, reasons) = choice::for_run()?;
    for reason in &reasons {
        eprintln!("run: {reason}");
    }
    if let Some(reason) = backend.lacks(Need::Firmware(machine.firmware)) {
        return Err(Failure::Wrong(reason.into()));
    }
    let image = images.join(machine.firmware.image());
    let folder = artifacts::target().join("run");
    std::fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
    namespace::become_owner()?;
    namespace::enter_network(&machine.taps())?;
    let (mut emulator, serial) = Emulator::start(backend, machine, &image, &folder)?;
    let terminal = RawTerminal::enter()?;
    if terminal.is_some() {
        eprint!("{backend} boots {}; Ctrl-] quits.\r\n", image.display());
    }
    let quit = connect(serial, terminal.is_some())?;
    drop(terminal);
    if quit {
        eprintln!("\nquit");
        return Ok(());
    }
    emulator.wait_for_power_off(Duration::from_secs(60))
}

/// Copies bytes in both directions until the machine powers off or the user quits, and returns whether the user
/// did.
fn connect(mut serial: TcpStream, interactive: bool) -> Outcome<bool> {
    let keyboard = stdin();
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
            if length == 0 || buffer[..length].contains(&QUIT) {
                return Ok(true);
            }
            serial.write_all(&buffer[..length]).context("typing")?;
        }
    }
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
