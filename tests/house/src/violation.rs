//! A violation of a rule, and the exceptions that accept some.

use crate::tables::Exception;
use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// File, from the root of the tree.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Name of the rule.
    pub rule: &'static str,
    /// The subject that an exception would name; empty if the rule allows none.
    pub subject: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl Violation {
    /// A violation without a subject: no exception can accept it.
    #[must_use]
    pub fn new(path: &str, line: usize, rule: &'static str, text: String) -> Self {
        Self { path: path.to_owned(), line, rule, subject: String::new(), text }
    }

    /// The same with the subject that an exception names.
    #[must_use]
    pub fn about(self, subject: String) -> Self {
        Self { subject, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.text)
    }
}

/// The violations that no exception accepts, and one for each exception that is unused or has no reason.
#[must_use]
pub fn without_exceptions(found: Vec<Violation>, exceptions: &[Exception]) -> Vec<Violation> {
    let matches = |violation: &Violation, exception: &Exception| {
        violation.rule == exception.rule && violation.subject == exception.subject
    };
    let idle = exceptions.iter().filter(|one| {
        one.subject.is_empty()
            || one.reason.is_empty()
            || !found.iter().any(|violation| matches(violation, one))
    });
    let idle = idle.map(|one| {
        let text = format!(
            "the exception of {} for \"{}\" is unused or gives no reason: remove or correct it",
            one.rule, one.subject
        );
        Violation::new("tests/house/src/tables.rs", 1, "exception", text)
    });
    let idle: Vec<_> = idle.collect();
    let left = found.into_iter().filter(|violation| !exceptions.iter().any(|one| matches(violation, one)));
    left.chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(path: &str) -> Violation {
        Violation::new(path, 401, "file-length", "is long".into()).about(path.into())
    }

    const EXCEPTION: Exception = Exception { rule: "file-length", subject: "a.rs", reason: "a table" };

    #[test]
    fn an_exception_lets_its_subject_pass_and_no_other() {
        let left = without_exceptions(vec![long("a.rs"), long("b.rs")], &[EXCEPTION]);
        assert_eq!(left, [long("b.rs")]);
    }

    #[test]
    fn an_unused_exception_and_one_without_a_reason_are_violations() {
        let left = without_exceptions(vec![], &[EXCEPTION]);
        assert!(left[0].to_string().starts_with("tests/house/src/tables.rs:1: exception: "));
        let left = without_exceptions(vec![long("a.rs")], &[Exception { reason: "", ..EXCEPTION }]);
        assert_eq!(left.len(), 1);
    }
}
