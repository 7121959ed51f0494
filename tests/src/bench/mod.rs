//! Weir's costs, counted and not timed: in Bochs the time-stamp counter advances by one per instruction,
//! independent of the host, so that the same build gives the same figures.

mod cost;
mod exits;
mod failover;
mod linux;
mod micro;
mod pauses;
mod stages;
mod still;
mod teams;

use crate::Outcome;
use crate::failure::ErrorContext;
use std::path::Path;
use std::{fmt, fs};

/// One figure, displayed as `NAME VALUE UNIT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name in docs/performance.md.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The unit of the value.
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
        write!(f, "{} {:.digits$} {}", self.name, self.value, self.unit)
    }
}

/// Writes figures into a file: a line for each, sorted.
///
/// # Errors
/// The file cannot be written.
pub fn write(figures: &[Figure], file: &Path) -> Outcome {
    let mut lines: Vec<String> = figures.iter().map(|figure| format!("{figure}\n")).collect();
    lines.sort();
    fs::write(file, lines.concat()).context(format!("writing {}", file.display()))
}

/// Figures that are measured together.
pub struct FigureGroup {
    /// The name that selects the group.
    pub name: &'static str,
    /// Measures the figures.
    pub measure: fn() -> Outcome<Vec<Figure>>,
}

/// All figures, fastest first.
pub const GROUPS: [FigureGroup; 12] = [
    FigureGroup { name: "still", measure: still::figures },
    FigureGroup { name: "exits", measure: exits::figures },
    FigureGroup { name: "pauses", measure: pauses::figures },
    FigureGroup { name: "transmit", measure: micro::transmit },
    FigureGroup { name: "receive", measure: micro::receive },
    FigureGroup { name: "teams", measure: teams::figures },
    FigureGroup { name: "team-idle", measure: teams::idle },
    FigureGroup { name: "failover", measure: failover::figures },
    FigureGroup { name: "stages", measure: stages::figures },
    FigureGroup { name: "linux-transmit", measure: linux::transmit },
    FigureGroup { name: "linux-receive", measure: linux::receive },
    FigureGroup { name: "linux-tcp", measure: linux::tcp },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(Figure::new("a", 12.0, "bytes").to_string(), "a 12 bytes");
        assert_eq!(Figure::new("b", 0.0625, "exits/frame").to_string(), "b 0.062 exits/frame");
    }

    #[test]
    fn the_file_of_figures_is_sorted() {
        let figures =
            [Figure::new("b", 1.5, "KiB"), Figure::new("a-b", 2.0, "KiB"), Figure::new("a", 3.0, "KiB")];
        let file = std::env::temp_dir().join(format!("weir-figures-{}", std::process::id()));
        write(&figures, &file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(text, "a 3 KiB\na-b 2 KiB\nb 1.500 KiB\n");
    }
}
