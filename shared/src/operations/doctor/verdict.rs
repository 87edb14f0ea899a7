//! What a check found, how bad it is, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but worse than it could, or perhaps not for long.
    Warning,
    /// Something does not work, or data is in danger.
    Problem,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it; `None` if all is well.
    pub advice: Option<String>,
}

pub(super) fn ok(what: impl Into<String>) -> Verdict {
    Verdict { level: Level::Ok, what: what.into(), advice: None }
}

pub(super) fn warning(what: impl Into<String>, advice: impl Into<String>) -> Verdict {
    Verdict { level: Level::Warning, what: what.into(), advice: Some(advice.into()) }
}

pub(super) fn problem(what: impl Into<String>, advice: impl Into<String>) -> Verdict {
    Verdict { level: Level::Problem, what: what.into(), advice: Some(advice.into()) }
}
