//! Results: what was measured, next to a limit taken in the same run, and whether a goal was met.

use std::fmt;

use serde::Serialize;

/// The rows of a result table.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// The goal in words, and whether it was met.
    goal: Option<(String, bool)>,
    note: String,
    /// Whether missing the goal is a failure, however slow the machine is.
    is_required: bool,
}

/// A bound for a value.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Report {
    /// Appends the rows of another report.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// A value without a goal.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, note: impl Into<String>) {
        let (name, note) = (name.into(), note.into());
        self.rows.push(Row { name, value, unit, goal: None, note, is_required: false });
    }

    /// A value with a goal that depends on the machine.
    pub fn check(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.compare(name.into(), value, unit, goal, false);
    }

    /// A value with a goal that must be met on any machine.
    pub fn require(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.compare(name.into(), value, unit, goal, true);
    }

    /// The required goals that were missed.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let broken = self.missed().filter(|row| row.is_required);
        broken.map(|row| format!("{}: {} {}", row.name, row.value, row.unit)).collect()
    }

    fn missed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.goal, Some((_, false))))
    }

    fn compare(&mut self, name: String, value: f64, unit: &'static str, goal: Goal, is_required: bool) {
        let (text, is_met) = match goal {
            Goal::AtMost(limit) => (format!("≤ {limit}"), value <= limit),
            Goal::AtLeast(limit) => (format!("≥ {limit}"), value >= limit),
        };
        let note = String::new();
        self.rows.push(Row { name, value, unit, goal: Some((text, is_met)), note, is_required });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<62} {:>12} {:<8} {:<10} ", "", "measured", "", "goal")?;
        for row in &self.rows {
            let verdict = match &row.goal {
                Some((goal, is_met)) => format!("{goal:<10} {}", if *is_met { "met" } else { "MISSED" }),
                None => row.note.clone(),
            };
            writeln!(f, "{:<62} {:>12.2} {:<8} {verdict}", row.name, row.value, row.unit)?;
        }
        let goals = self.rows.iter().filter(|row| row.goal.is_some()).count();
        write!(f, "\n{} of {goals} goals missed", self.missed().count())
    }
}

/// The value below which this share of the sorted values lies; NaN without values.
#[must_use]
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Sorts values for [`percentile`].
#[must_use]
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
