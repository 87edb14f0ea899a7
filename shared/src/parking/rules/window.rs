//! Windows: the time for which a spot is reserved. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::{error::FieldError, plural::plural};

/// How far ahead a window may begin, for administrators too.
const MAX_LEAD: TimeDelta = TimeDelta::days(365);

/// A session that is still running is expected to last at least this much longer.
pub const SHORTEST_REST: TimeDelta = TimeDelta::minutes(30);

/// The time from `from` until just before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub to: DateTime<Utc>,
}

impl Window {
    /// Why no spot can be reserved for this window: one message for each end that is wrong. `fields` are their pointers.
    #[must_use]
    pub fn problems(&self, now: DateTime<Utc>, max_length: TimeDelta, fields: [&str; 2]) -> Vec<FieldError> {
        let start = match self.from {
            from if from < now => Some("must not be in the past".to_owned()),
            from if from - now > MAX_LEAD => {
                Some(format!("must be within the next {} days", MAX_LEAD.num_days()))
            }
            _ => None,
        };
        let end = match self.to - self.from {
            length if length <= TimeDelta::zero() => {
                Some(format!("must be after {}", fields[0].trim_start_matches('/')))
            }
            length if length > max_length => Some(format!(
                "must be at most {} after {}",
                plural(max_length.num_hours(), "hour"),
                fields[0].trim_start_matches('/')
            )),
            _ => None,
        };
        let error = |(pointer, message): (&str, Option<String>)| {
            Some(FieldError { pointer: pointer.into(), message: message? })
        };
        [(fields[0], start), (fields[1], end)].into_iter().filter_map(error).collect()
    }

    /// Whether both contain a moment.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, to: i64) -> Window {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        Window { from: at(from), to: at(to) }
    }

    fn pointers(window: Window) -> Vec<String> {
        let now = DateTime::UNIX_EPOCH;
        let problems = window.problems(now, TimeDelta::hours(720), ["/parking_time", "/leaving_time"]);
        problems.into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn each_wrong_end_of_a_window_is_named() {
        let year = TimeDelta::days(365).num_minutes();
        for (from, to, wrong) in [
            (0, 1, &[][..]),
            (year, year + 1, &[]),
            (0, 720 * 60, &[]),
            (-1, 1, &["/parking_time"]),
            (year + 1, year + 2, &["/parking_time"]),
            (5, 5, &["/leaving_time"]),
            (5, 4, &["/leaving_time"]),
            (0, 720 * 60 + 1, &["/leaving_time"]),
            (-2, -3, &["/parking_time", "/leaving_time"]),
        ] {
            assert_eq!(pointers(window(from, to)), wrong, "from {from} to {to}");
        }
    }

    #[test]
    fn windows_that_touch_do_not_overlap() {
        for (other, overlaps) in
            [((0, 10), false), ((20, 30), false), ((0, 11), true), ((12, 13), true), ((19, 40), true)]
        {
            let (one, other) = (window(10, 20), window(other.0, other.1));
            assert_eq!(one.overlaps(&other), overlaps, "{other:?}");
            assert_eq!(other.overlaps(&one), overlaps, "{other:?}");
        }
    }
}
