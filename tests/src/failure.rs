//! Why a test failed.

use std::path::PathBuf;
use std::time::Duration;

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An operation of the host's system failed.
    #[error("{what}: {source}")]
    Host {
        /// The operation.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A program that the harness needs exited with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// Its output.
        output: String,
    },
    /// A file that an earlier step produces does not exist.
    #[error("{} is missing: {made_by}", path.display())]
    Artifact {
        /// Where it should be.
        path: PathBuf,
        /// How to produce it.
        made_by: &'static str,
    },
    /// The serial log has a line that the test did not declare.
    #[error("unexpected line: {0}")]
    UnexpectedLine(String),
    /// An expected text did not appear in time.
    #[error("no \"{text}\" within {limit:?}")]
    Missing {
        /// The text.
        text: String,
        /// The timeout.
        limit: Duration,
    },
    /// The emulator ended before an expected text appeared, or with an unexpected status.
    #[error("the emulator ended ({status}) {context}")]
    Ended {
        /// Its exit status.
        status: String,
        /// What the test waited for.
        context: String,
    },
    /// The observation differs from the expectation.
    #[error("{0}")]
    Wrong(String),
}

/// The result of a step of a test.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Adds the name of the operation to an error of the host.
pub trait ErrorContext<T> {
    /// Converts the error into a [`Failure::Host`] about `what`.
    ///
    /// # Errors
    /// The converted error.
    fn context(self, what: impl Into<String>) -> Outcome<T>;
}

impl<T, E: Into<std::io::Error>> ErrorContext<T> for Result<T, E> {
    fn context(self, what: impl Into<String>) -> Outcome<T> {
        self.map_err(|source| Failure::Host { what: what.into(), source: source.into() })
    }
}

/// Returns a [`Failure::Wrong`] with the text unless the condition holds.
#[macro_export]
macro_rules! require {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err($crate::Failure::Wrong(format!($($text)*)));
        }
    };
}
