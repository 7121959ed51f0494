//! One run of a scenario, from the image to power-off.

use crate::backend::{Backend, Need};
use crate::cabling::Cabling;
use crate::console::SerialConsole;
use crate::emulator::Emulator;
use crate::failure::ErrorContext;
use crate::fields::LineFields;
use crate::machine::EmulatedMachine;
use crate::wire::Capture;
use crate::{Failure, Outcome, Scenario, artifacts, namespace, require, screen};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Weir's last line when all guests have stopped.
pub const CLOSING_LINE: &str = "all guests stopped, powering off";
/// Timeout for the boot of a guest of a few megabytes, or for one action of a guest. Generous: the host may be
/// busy.
pub const STEP: Duration = Duration::from_secs(180);

/// A test and the backend it runs on, which determine the folder of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name without the backend's.
    pub name: String,
    /// The backend it runs on.
    pub backend: Backend,
}

impl Test {
    /// The folder with the files of its run: `target/e2e/<backend>/<name>`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        artifacts::target().join("e2e").join(self.backend.name()).join(&self.name)
    }

    /// Creates that folder, or empties it.
    ///
    /// # Errors
    /// Its contents cannot be removed, or it cannot be created.
    pub fn empty_folder(&self) -> Outcome<PathBuf> {
        let folder = self.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder).context(format!("emptying {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).context(format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// The last lines of its run's serial log, for the report of a failed test.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let path = self.folder().join("serial.log");
        // A test that shares the boot of another test has no log of its own.
        let Ok(log) = fs::read(&path) else { return String::new() };
        let log = String::from_utf8_lossy(&log).replace('\r', "");
        let all: Vec<&str> = log.lines().collect();
        format!("\nend of {}:\n  {}", path.display(), all[all.len().saturating_sub(lines)..].join("\n  "))
    }
}

/// Pulls the cable of a NIC or puts it back, as [`Run::plug`].
///
/// # Errors
/// As [`Run::plug`].
pub fn plug(emulator: &mut Emulator, lan: Option<&Cabling>, nic: usize, in_place: bool) -> Outcome {
    emulator.set_link(nic, in_place)?;
    lan.map_or(Ok(()), |lan| lan.set_port(nic, in_place))
}

/// A running scenario. Its folder is kept, with configuration, serial log, captures and the emulator's log.
pub struct Run {
    /// The serial line.
    pub console: SerialConsole,
    /// The frames on the wire of each NIC that is on a tap, or on the LAN.
    pub captures: Vec<Capture>,
    lan: Option<Cabling>,
    /// The machine.
    pub emulator: Emulator,
    /// The host itself sends more than it can capture.
    pub floods: bool,
    folder: PathBuf,
    commands: u32,
}

impl Run {
    /// Builds the image and starts the emulator, in a network namespace of the calling thread.
    ///
    /// # Errors
    /// An artifact has not been built, or the emulator does not start.
    pub fn start(test: &Test, scenario: &Scenario) -> Outcome<Self> {
        Self::start_in(test.backend, test.empty_folder()?, scenario)
    }

    /// The same in an existing folder.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(backend: Backend, folder: PathBuf, scenario: &Scenario) -> Outcome<Self> {
        let scenario = &scenario.clone().suited_to(backend);
        let image = scenario.build(&folder)?;
        let run = Self::boot(backend, &scenario.machine, &image, folder);
        if scenario.machine.firmware.has_disk() {
            // The emulator has it open. It can be built again; hundreds of images would only waste space.
            let _ = fs::remove_file(&image);
        }
        run
    }

    fn boot(backend: Backend, machine: &EmulatedMachine, image: &Path, folder: PathBuf) -> Outcome<Self> {
        let taps = machine.taps();
        namespace::enter()?;
        let lan = machine.lan.as_ref().map(|plan| Cabling::lay(plan, &folder)).transpose()?;
        let captures = if let Some(lan) = &lan {
            lan.of_nics()
        } else {
            namespace::add_peers(&taps)?;
            let capture = |tap: &&str| Capture::start(tap, &folder.join(format!("{tap}.pcap")));
            taps.iter().map(capture).collect::<Outcome<Vec<_>>>()?
        };
        let (emulator, serial) = Emulator::start(backend, machine, image, &folder)?;
        let mut console = SerialConsole::follow(serial, &folder.join("serial.log"))?;
        if backend.lacks(Need::Undisturbed).is_some() {
            console.allow("no two measurements of the TSC agree");
        }
        Ok(Self { console, captures, lan, emulator, floods: false, folder, commands: 0 })
    }

    /// The frames that Weir has sent so far on the wire of its first NIC.
    #[must_use]
    pub fn from_weir(&self) -> Vec<Vec<u8>> {
        self.captures.first().map(Capture::from_weir).unwrap_or_default()
    }

    /// The LAN that the machine's NICs are on.
    ///
    /// # Errors
    /// Each is alone with its peer.
    pub fn lan(&self) -> Outcome<&Cabling> {
        self.lan.as_ref().ok_or_else(|| Failure::Wrong("the machine's NICs are on no LAN".into()))
    }

    /// Pulls the cable of a NIC or puts it back, at both of its ends: the NIC loses its link, and so does the port of its
    /// switch, which forgets what it has learnt there.
    ///
    /// # Errors
    /// As [`Emulator::set_link`], or `ip` fails.
    pub fn plug(&mut self, nic: usize, in_place: bool) -> Outcome {
        plug(&mut self.emulator, self.lan.as_ref(), nic, in_place)
    }

    /// Pulls the cable of a NIC, at the moment of a RARP from each NIC with its own address.
    ///
    /// # Errors
    /// As [`plug`](Self::plug).
    pub fn pull_at_mark(&mut self, nic: usize) -> Outcome {
        self.emulator.unplug_at_mark(nic)?;
        self.lan()?.set_port(nic, false)
    }

    /// Waits for a text on the serial line, with the timeout [`STEP`], and for the end of its line, and returns the fields
    /// of the line.
    ///
    /// # Errors
    /// As [`SerialConsole::wait_for`].
    pub fn expect_fields(&mut self, text: &str) -> Outcome<LineFields> {
        self.expect(text)?;
        self.expect("\n").map(LineFields::new)
    }

    /// Waits for a text on the serial line, with the timeout [`STEP`].
    ///
    /// # Errors
    /// As [`SerialConsole::wait_for`].
    pub fn expect(&mut self, text: &str) -> Outcome<String> {
        self.expect_within(text, STEP)
    }

    /// Waits for a text on the serial line.
    ///
    /// # Errors
    /// As [`SerialConsole::wait_for`].
    pub fn expect_within(&mut self, text: &str, limit: Duration) -> Outcome<String> {
        self.console.wait_for(text, limit)
    }

    /// Waits for a text that may have been received before or after the text of the last wait: the output of
    /// guests that run side by side has no order.
    ///
    /// # Errors
    /// As [`SerialConsole::wait_for`].
    pub fn expect_in_any_order(&mut self, text: &str) -> Outcome {
        // Output that is received after the count follows all texts found so far.
        if self.console.count(text) == 0 {
            self.expect(text)?;
        }
        Ok(())
    }

    /// Declares lines that would fail other tests and are the subject of this one.
    pub fn allow(&mut self, text: &str) {
        self.console.allow(text);
    }

    /// The text on the screen, row by row, without trailing blanks.
    ///
    /// # Errors
    /// The emulator does not support it, or the picture cannot be read.
    pub fn screen(&mut self) -> Outcome<Vec<String>> {
        let picture = self.folder.join("screen.ppm");
        self.emulator.screenshot(&picture)?;
        screen::read(&fs::read(&picture).context("screen.ppm")?)
    }

    /// Runs a command in the shell of the Linux guest that has the keyboard, and returns the output of the guest's
    /// console meanwhile.
    ///
    /// # Errors
    /// As [`SerialConsole::wait_for`], or the command's exit status is not zero.
    pub fn shell(&mut self, vm: &str, command: &str, limit: Duration) -> Outcome<String> {
        self.commands += 1;
        let start = self.console.text().len();
        // The guest echoes what is typed: only the output of the executed command contains the sum.
        self.console.type_text(&format!("{command}; echo =$((1000+{}))=$?\n", self.commands))?;
        self.console.wait_for(&format!("={}=", 1000 + self.commands), limit)?;
        self.console.wait_for("\n", STEP)?;
        let text = self.console.text();
        let prefix = format!("{vm}| ");
        let lines = text[start..].lines().filter_map(|line| line.strip_prefix(&prefix));
        let shown: Vec<&str> = lines.filter(|line| !line.contains("; echo =$(")).collect();
        let shown = shown.join("\n");
        if shown.contains(&format!("={}=0", 1000 + self.commands)) {
            Ok(shown)
        } else {
            Err(Failure::Wrong(format!("{command}: {shown}")))
        }
    }

    /// Waits until all guests have stopped and Weir has powered the machine off.
    ///
    /// # Errors
    /// An unexpected line was received, or the emulator ended for another reason.
    pub fn finish(&mut self) -> Outcome {
        self.finish_with(CLOSING_LINE)
    }

    /// The same when Weir powers the machine off for another reason, which its last line gives.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_with(&mut self, line: &str) -> Outcome {
        self.expect(line)?;
        self.emulator.wait_for_power_off(STEP)?;
        self.console.wait_for_end(STEP)?;
        self.check_captures()
    }

    /// What was on the wires is known.
    fn check_captures(&self) -> Outcome {
        let lost: Vec<u32> = self.captures.iter().map(Capture::lost).collect();
        let known = self.floods || lost.iter().all(|lost| *lost == 0);
        require!(known, "captures lack frames, since the host is busy: {lost:?}");
        Ok(())
    }

    /// The folder with the run's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
