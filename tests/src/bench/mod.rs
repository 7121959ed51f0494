//! What Weir costs, counted and not timed: in Bochs the time-stamp counter advances by one an instruction, and nothing
//! of the host enters, so that the same build gives the same figures.

mod cost;
mod linux;
mod micro;
mod still;

use crate::Outcome;
use std::fmt;

/// One figure, as `figure NAME VALUE UNIT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name in docs/performance.md.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.value.fract() == 0.0 { 0 } else { 3 };
        write!(f, "figure {} {:.digits$} {}", self.name, self.value, self.unit)
    }
}

/// Figures that are measured together.
pub struct Group {
    /// What can be asked for.
    pub name: &'static str,
    /// Measures them.
    pub measure: fn() -> Outcome<Vec<Figure>>,
}

/// All figures, cheapest first.
pub const GROUPS: [Group; 5] = [
    Group { name: "still", measure: still::figures },
    Group { name: "transmit", measure: micro::transmit },
    Group { name: "receive", measure: micro::receive },
    Group { name: "linux-transmit", measure: linux::transmit },
    Group { name: "linux-receive", measure: linux::receive },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(Figure::new("a", 12.0, "bytes").to_string(), "figure a 12 bytes");
        assert_eq!(Figure::new("b", 0.0625, "exits/frame").to_string(), "figure b 0.062 exits/frame");
    }
}
