//! One run of a scenario, from image to power-off.

use crate::backend::Backend;
use crate::console::Console;
use crate::emulator::Emulator;
use crate::failure::Context;
use crate::machine::Machine;
use crate::wire::Capture;
use crate::{Failure, Outcome, Scenario, artifacts, namespace, screen};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Weir's last line when all guests have stopped.
pub const CLOSING_LINE: &str = "all guests stopped, powering off";
/// Until a guest of a few megabytes has spoken, or done one thing. Generous: the machine may be busy.
pub const STEP: Duration = Duration::from_secs(180);

/// A test and the backend that it is to run on: they give a run its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The name without the backend's.
    pub name: String,
    /// Where it runs.
    pub backend: Backend,
}

impl Test {
    /// Where its run's files are kept: `target/e2e/<backend>/<name>`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        artifacts::target().join("e2e").join(self.backend.name()).join(&self.name)
    }

    /// Makes that folder, empty.
    ///
    /// # Errors
    /// What it held cannot be removed, or it cannot be made.
    pub fn empty_folder(&self) -> Outcome<PathBuf> {
        let folder = self.folder();
        if folder.exists() {
            fs::remove_dir_all(&folder).context(format!("emptying {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).context(format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// The last lines of its run's serial log, for the report of a failure.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let path = self.folder().join("serial.log");
        // A test that shares another's boot has none of its own.
        let Ok(log) = fs::read(&path) else { return String::new() };
        let log = String::from_utf8_lossy(&log).replace('\r', "");
        let all: Vec<&str> = log.lines().collect();
        format!("\nend of {}:\n  {}", path.display(), all[all.len().saturating_sub(lines)..].join("\n  "))
    }
}

/// A running scenario. Its folder is kept: image, configuration, serial log, captures, the emulator's log.
pub struct Run {
    /// The serial line.
    pub console: Console,
    /// The frames on the wire of each card that is on a tap.
    pub captures: Vec<Capture>,
    /// The machine.
    pub emulator: Emulator,
    folder: PathBuf,
    commands: u32,
}

impl Run {
    /// Builds the image and starts the emulator in a network of the calling thread's own.
    ///
    /// # Errors
    /// Something is not built, or does not start.
    pub fn start(test: &Test, scenario: &Scenario) -> Outcome<Self> {
        Self::start_in(test.backend, test.empty_folder()?, scenario)
    }

    /// The same in a folder that is there already.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(backend: Backend, folder: PathBuf, scenario: &Scenario) -> Outcome<Self> {
        let image = scenario.build(&folder)?;
        let run = Self::boot(backend, &scenario.machine, &image, folder);
        if scenario.machine.firmware.has_disk() {
            // The emulator has it open. It can be built again; hundreds of them are no use.
            let _ = fs::remove_file(&image);
        }
        run
    }

    fn boot(backend: Backend, machine: &Machine, image: &Path, folder: PathBuf) -> Outcome<Self> {
        let taps = machine.taps();
        namespace::enter_network(&taps)?;
        let captures = taps
            .iter()
            .map(|tap| Capture::start(tap, &folder.join(format!("{tap}.pcap"))))
            .collect::<Outcome<Vec<_>>>()?;
        let (emulator, serial) = Emulator::start(backend, machine, image, &folder)?;
        let console = Console::follow(serial, &folder.join("serial.log"))?;
        Ok(Self { console, captures, emulator, folder, commands: 0 })
    }

    /// The frames that Weir sent so far to the wire of its first card.
    #[must_use]
    pub fn from_weir(&self) -> Vec<Vec<u8>> {
        self.captures.first().map(Capture::from_weir).unwrap_or_default()
    }

    /// Waits for a text on the serial line, as long as one step may take.
    ///
    /// # Errors
    /// As [`Console::wait_for`]; the report ends with the last lines of the log.
    pub fn expect(&mut self, text: &str) -> Outcome<String> {
        self.expect_within(text, STEP)
    }

    /// Waits for a text on the serial line.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn expect_within(&mut self, text: &str, limit: Duration) -> Outcome<String> {
        self.console.wait_for(text, limit)
    }

    /// Waits for a text that may come, or have come, before or behind the one last waited for: guests that run side by
    /// side speak in no order.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn expect_in_any_order(&mut self, text: &str) -> Outcome {
        // What comes after the count is behind all that was found.
        if self.console.count(text) == 0 {
            self.expect(text)?;
        }
        Ok(())
    }

    /// Declares lines that are trouble elsewhere, and are what this test is about.
    pub fn allow(&mut self, text: &str) {
        self.console.allow(text);
    }

    /// What stands on the screen, row by row, without the blanks at the ends.
    ///
    /// # Errors
    /// The emulator does not show it, or there is something else than text of Weir's font.
    pub fn screen(&mut self) -> Outcome<Vec<String>> {
        let picture = self.folder.join("screen.ppm");
        self.emulator.screenshot(&picture)?;
        screen::read(&fs::read(&picture).context("screen.ppm")?)
    }

    /// Runs a command in the shell of a Linux guest that has the keyboard, and returns what the guest's console
    /// showed meanwhile.
    ///
    /// # Errors
    /// As [`Console::wait_for`], or the command's exit status is not zero.
    pub fn shell(&mut self, vm: &str, command: &str, limit: Duration) -> Outcome<String> {
        self.commands += 1;
        let start = self.console.text().len();
        // What is typed is echoed: only the executed command shows the sum.
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

    /// Waits until all guests have stopped and the emulator has ended as Weir ends it.
    ///
    /// # Errors
    /// A line was not expected, or the emulator ended otherwise.
    pub fn finish(&mut self) -> Outcome {
        self.finish_with(CLOSING_LINE)
    }

    /// The same when Weir ends it for another reason, which is its closing line.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_with(&mut self, line: &str) -> Outcome {
        self.expect(line)?;
        self.emulator.wait_for_power_off(STEP)?;
        self.console.wait_for_end(STEP)
    }

    /// Where the run's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
