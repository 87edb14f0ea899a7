//! The order of a job's statuses. Pure.

use std::{fmt, str::FromStr};

/// Of two statuses of a job, the one with the greater version is the later one. It depends only on the content of the
/// status, so it is the same in every process, whether the status came from Redis or the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// When the run began, or else when the job was created, in microseconds since 1970.
    pub run: i64,
    /// 0 before the run, 1 during it, 2 while the job waits (again), 3 when it has ended.
    pub phase: u8,
    /// The progress of the run.
    pub current: i64,
    /// Its end.
    pub total: i64,
}

impl Version {
    /// The version just before this run.
    #[must_use]
    pub const fn before(self) -> Self {
        Self { phase: 0, current: 0, total: 0, ..self }
    }

    /// Whether the run was still going on.
    #[must_use]
    pub const fn is_in_a_run(self) -> bool {
        self.phase == 1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.run, self.phase, self.current, self.total)
    }
}

/// The text is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let parts: Result<Vec<i64>, _> = text.split('-').map(str::parse).collect();
        match parts.as_deref() {
            Ok(&[run, phase, current, total]) => {
                Ok(Self { run, phase: u8::try_from(phase).map_err(|_| InvalidVersion)?, current, total })
            }
            _ => Err(InvalidVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_and_read_as_they_are_written() {
        let running = Version { run: 7, phase: 1, current: 2, total: 9 };
        assert!(running.before() < running);
        assert!(running < Version { current: 3, ..running });
        assert!(running < Version { run: 8, phase: 0, current: 0, total: 0 });
        assert_eq!(running.to_string().parse(), Ok(running));
        for text in ["", "1-2-3", "1-2-3-4-5", "1-300-0-0", "a-1-0-0"] {
            assert_eq!(text.parse::<Version>(), Err(InvalidVersion), "{text}");
        }
    }
}
