//! The fields of a line of the log, such as `failover lan: nic0 -> nic1 cause=link took=12us resent=37`.

use crate::{Failure, Outcome};
use std::time::Duration;

/// A line with fields `key=value` between its words.
///
/// ```
/// use end_to_end::fields::LineFields;
///
/// let line = LineFields::new("failover lan: nic0 -> nic1 cause=link took=12us resent=37");
/// assert_eq!(line.text("cause").unwrap(), "link");
/// assert_eq!(line.number("resent").unwrap(), 37);
/// assert_eq!(line.time("took").unwrap().as_micros(), 12);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFields {
    line: String,
}

impl LineFields {
    /// The fields of this line.
    #[must_use]
    pub fn new(line: impl Into<String>) -> Self {
        Self { line: line.into() }
    }

    /// The whole line.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The value of a field, without punctuation behind it.
    ///
    /// # Errors
    /// There is no such field.
    pub fn text(&self, key: &str) -> Outcome<&str> {
        let fields = self.line.split_whitespace().filter_map(|word| word.split_once('='));
        let value = fields.into_iter().find_map(|(name, value)| (name == key).then_some(value));
        value
            .map(|value| value.trim_end_matches([',', ';', '.']))
            .ok_or_else(|| Failure::Wrong(format!("no {key}= in: {}", self.line)))
    }

    /// The value of a field that is a number.
    ///
    /// # Errors
    /// There is no such field, or its value is not a number.
    pub fn number(&self, key: &str) -> Outcome<u64> {
        self.text(key)?.parse().map_err(|_| Failure::Wrong(format!("{key} is no number in: {}", self.line)))
    }

    /// The value of a field that is a time: a number with the unit `ns`, `us`, `ms` or `s`.
    ///
    /// # Errors
    /// There is no such field, or its value is not a time.
    pub fn time(&self, key: &str) -> Outcome<Duration> {
        let value = self.text(key)?;
        let unit = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let nanoseconds = match unit {
            "ns" => Some(1.0),
            "us" => Some(1e3),
            "ms" => Some(1e6),
            "s" => Some(1e9),
            _ => None,
        };
        let number = value[..value.len() - unit.len()].parse::<f64>().ok();
        number
            .zip(nanoseconds)
            .and_then(|(number, unit)| Duration::try_from_secs_f64(number * unit / 1e9).ok())
            .ok_or_else(|| Failure::Wrong(format!("{key} is no time in: {}", self.line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_whole_word_with_its_value() {
        let line = LineFields::new("failover lan: nic0 -> nic1 cause=link took=1.5ms, in-doubt=0 lost=x");
        assert_eq!(line.text("cause").unwrap(), "link");
        assert_eq!(line.time("took").unwrap(), Duration::from_micros(1500));
        assert_eq!(line.number("in-doubt").unwrap(), 0);
        line.text("doubt").expect_err("this is the end of another field's name");
        line.number("lost").expect_err("x is no number");
        line.time("in-doubt").expect_err("a time has a unit");
    }
}
