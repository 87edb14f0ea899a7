//! Figures: what was measured, beside which limit of the same run, and whether the goal is met.

use std::fmt;

use serde::Serialize;

/// A benchmark's figures.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// The goal in words, and whether the value meets it.
    goal: Option<(String, bool)>,
    note: String,
    /// Whether missing the goal is a failure, however slow the machine is.
    is_vital: bool,
}

/// What a value is to be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Report {
    /// The figures of another report, below these.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// A figure that stands for itself, or as a limit for others.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, note: impl Into<String>) {
        self.rows.push(Row {
            name: name.into(),
            value,
            unit,
            goal: None,
            note: note.into(),
            is_vital: false,
        });
    }

    /// A figure with a goal.
    pub fn check(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.compare(name.into(), value, unit, goal, false);
    }

    /// A figure with a goal that does not depend on the machine.
    pub fn must(&mut self, name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) {
        self.compare(name.into(), value, unit, goal, true);
    }

    /// Goals of that kind which are missed.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let missed = |row: &&Row| row.is_vital && row.goal.as_ref().is_some_and(|(_, met)| !met);
        self.rows.iter().filter(missed).map(|row| format!("{}: {}", row.name, row.value)).collect()
    }

    fn compare(&mut self, name: String, value: f64, unit: &'static str, goal: Goal, is_vital: bool) {
        let (text, met) = match goal {
            Goal::AtMost(limit) => (format!("≤ {limit}"), value <= limit),
            Goal::AtLeast(limit) => (format!("≥ {limit}"), value >= limit),
        };
        self.rows.push(Row { name, value, unit, goal: Some((text, met)), note: String::new(), is_vital });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<58} {:>12} {:<8} {:<10} ", "", "measured", "", "goal")?;
        for row in &self.rows {
            let verdict = match &row.goal {
                Some((goal, met)) => format!("{goal:<10} {}", if *met { "met" } else { "MISSED" }),
                None => row.note.clone(),
            };
            writeln!(f, "{:<58} {:>12.2} {:<8} {verdict}", row.name, row.value, row.unit)?;
        }
        Ok(())
    }
}

/// The value below which this share of the sorted values lies.
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
