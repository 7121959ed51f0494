//! Why a run did not do what was expected.

use std::path::PathBuf;
use std::time::Duration;

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something of the host did not work.
    #[error("{what}: {source}")]
    Host {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program that the harness needs ended with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// What it printed.
        output: String,
    },
    /// A file that an earlier step makes is not there.
    #[error("{} is missing: {made_by}", path.display())]
    Artifact {
        /// Where it should be.
        path: PathBuf,
        /// How to make it.
        made_by: &'static str,
    },
    /// The serial log has a line that no expectation covers.
    #[error("unexpected line: {0}")]
    UnexpectedLine(String),
    /// A text did not come in time.
    #[error("no \"{text}\" within {limit:?}")]
    Missing {
        /// The text.
        text: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The emulator ended before a text came, or with another status than expected.
    #[error("the emulator ended ({status}) {context}")]
    Ended {
        /// Its exit status.
        status: String,
        /// What was waited for.
        context: String,
    },
    /// What was observed is not what was expected.
    #[error("{0}")]
    Wrong(String),
}

/// What a step of a test gives.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Names what was tried, for errors of the host.
pub trait Context<T> {
    /// Turns the error into a [`Failure::Host`] about `what`.
    ///
    /// # Errors
    /// That failure.
    fn context(self, what: impl Into<String>) -> Outcome<T>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl Into<String>) -> Outcome<T> {
        self.map_err(|source| Failure::Host { what: what.into(), source: source.into() })
    }
}

/// Fails with the text unless the condition holds.
#[macro_export]
macro_rules! require {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err($crate::Failure::Wrong(format!($($text)*)));
        }
    };
}
