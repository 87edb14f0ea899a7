//! The queues of background jobs.

/// A queue of jobs. Each has its own workers, so a long export never delays a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Mails: short and many.
    Mail,
    /// Exports: long and few.
    Exports,
    /// Maintenance: one job at a time.
    Maintenance,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Exports, Self::Maintenance];

    /// The name that is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Exports => "exports",
            Self::Maintenance => "maintenance",
        }
    }

    /// The queue called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}
