//! What is rate limited, and by how much.

use std::time::Duration;

/// What is limited. The table of budgets is [`Action::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reading users.
    UserReads,
    /// Logging in.
    Login,
    /// Opening accounts.
    Register,
    /// Asking for exports.
    Export,
    /// Sending a mail; the one caller is all workers together.
    Mail,
    /// Everything else.
    Default,
}

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls, at least one.
    pub calls: u32,
    /// At least a second.
    pub window: Duration,
}

impl Action {
    /// Every action with the setting that overrides its budget.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::UserReads, "RATE_LIMIT_USER_READS"),
        (Self::Login, "RATE_LIMIT_LOGIN"),
        (Self::Register, "RATE_LIMIT_REGISTER"),
        (Self::Export, "RATE_LIMIT_EXPORT"),
        (Self::Mail, "MAIL_RATE_LIMIT"),
        (Self::Default, "RATE_LIMIT_DEFAULT"),
    ];

    /// As in keys and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserReads => "user_reads",
            Self::Login => "login",
            Self::Register => "register",
            Self::Export => "export",
            Self::Mail => "mail",
            Self::Default => "default",
        }
    }
}

impl std::str::FromStr for Budget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let budget = text.split_once('/').and_then(|(calls, seconds)| {
            let (calls, seconds) = (calls.parse::<u32>().ok()?, seconds.parse::<u64>().ok()?);
            let fits = (1..=10_000_000).contains(&calls) && (1..=86_400).contains(&seconds);
            fits.then_some(Self { calls, window: Duration::from_secs(seconds) })
        });
        budget.ok_or("must be CALLS/SECONDS such as 10/60, with 1 to 10000000 calls and 1 to 86400 seconds")
    }
}
