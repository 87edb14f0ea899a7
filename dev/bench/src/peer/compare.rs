//! Figures of both systems, taken in turn, and what follows from them.

use bench::report::{Goal, Report, percentile, sorted};

/// What is measured, in which unit, and the goal for the ratio of Parkade to the peer.
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub goal: Goal,
    ours: Vec<Figure>,
    peer: Vec<Figure>,
}

/// A figure, and the processor time of all processes and databases for each item in milliseconds, if that is known.
#[derive(Clone, Copy)]
pub struct Figure {
    pub value: f64,
    pub processor: Option<f64>,
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, processor: None }
    }
}

impl Row {
    pub const fn new(name: &'static str, unit: &'static str, goal: Goal) -> Self {
        Self { name, unit, goal, ours: Vec::new(), peer: Vec::new() }
    }

    pub fn push(&mut self, is_ours: bool, figure: impl Into<Figure>) {
        if is_ours { self.ours.push(figure.into()) } else { self.peer.push(figure.into()) }
    }

    /// Both figures, and the median and the spread of the ratios of the rounds.
    pub fn add_to(&self, report: &mut Report) {
        for (who, figures) in [("Parkade", &self.ours), ("peer", &self.peer)] {
            let note = median(figures.iter().filter_map(|figure| figure.processor))
                .map_or_else(String::new, |ms| format!("{ms:.3} ms of processor time each"));
            let value = median(figures.iter().map(|figure| figure.value)).unwrap_or(f64::NAN);
            report.add(format!("{}: {who}", self.name), value, self.unit, note);
        }
        let pairs = || self.ours.iter().zip(&self.peer);
        let ratios = sorted(pairs().map(|(ours, peer)| ours.value / peer.value).collect());
        let (least, most) = (percentile(&ratios, 0.0), percentile(&ratios, 1.0));
        let (name, spread) = (format!("{}: ratio", self.name), format!("{least:.2} to {most:.2}"));
        report.check_with(name, percentile(&ratios, 0.5), "x", self.goal, spread);
        let processor = median(pairs().filter_map(|(ours, peer)| Some(peer.processor? / ours.processor?)));
        if let Some(ratio) = processor {
            report.add(format!("{}: processor time, peer / Parkade", self.name), ratio, "x", "");
        }
    }

    pub fn last_of_ours(&self) -> Option<f64> {
        self.ours.last().map(|figure| figure.value)
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values = sorted(values.collect());
    (!values.is_empty()).then(|| percentile(&values, 0.5))
}
