//! Results: what was measured, next to a limit taken in the same run, and whether a goal was met.

use std::fmt;

use serde::Serialize;

/// The rows of a result table, and the machine that they are from.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    machine: Machine,
    rows: Vec<Row>,
}

/// What the figures depend on most.
#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    memory_mib: u64,
    /// Processes that were running or waiting in the minute before, by the kernel's count.
    load: String,
}

impl Default for Machine {
    fn default() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (memory, load) = (read("/proc/meminfo"), read("/proc/loadavg"));
        let kibibytes = memory.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kibibytes.unwrap_or(0) / 1024,
            load: load.split_whitespace().next().unwrap_or_default().to_owned(),
        }
    }
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

    /// Appends the rows of another report, with this name before theirs.
    pub fn append_as(&mut self, name: &str, other: Self) {
        let named = |row: Row| Row { name: format!("{name}: {}", row.name), ..row };
        self.rows.extend(other.rows.into_iter().map(named));
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

    /// The same with a note.
    pub fn check_with(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        goal: Goal,
        note: String,
    ) {
        self.compare(name.into(), value, unit, goal, false);
        if let Some(row) = self.rows.last_mut() {
            row.note = note;
        }
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

    /// The goals that were missed, with the values.
    #[must_use]
    pub fn missed_goals(&self) -> Vec<String> {
        let goal = |row: &Row| row.goal.as_ref().map_or_else(String::new, |(goal, _)| goal.clone());
        self.missed()
            .map(|row| format!("{}: {:.2} {}, not {}", row.name, row.value, row.unit, goal(row)))
            .collect()
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
                Some((goal, is_met)) => {
                    format!("{goal:<10} {:<6} {}", if *is_met { "met" } else { "MISSED" }, row.note)
                }
                None => row.note.clone(),
            };
            let line = format!("{:<62} {:>12.2} {:<8} {verdict}", row.name, row.value, row.unit);
            writeln!(f, "{}", line.trim_end())?;
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
