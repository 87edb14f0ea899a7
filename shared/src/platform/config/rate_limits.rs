//! What is rate limited, and the budgets.

use std::time::Duration;

use super::sources::Sources;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Reading users.
    UserReads,
    /// Logging in.
    Login,
    /// Creating accounts.
    Register,
    /// Asking for a mail that resets a password.
    PasswordReset,
    /// Asking for a code by SMS.
    PhoneCode,
    /// Requesting exports.
    Export,
    /// Sending a mail; all workers share one budget.
    Mail,
    /// Everything else.
    Default,
}

/// A number of calls in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At least one.
    pub calls: u32,
    /// At least a second.
    pub window: Duration,
}

impl Action {
    /// Every action with the setting of its budget.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::UserReads, "RATE_LIMIT_USER_READS"),
        (Self::Login, "RATE_LIMIT_LOGIN"),
        (Self::Register, "RATE_LIMIT_REGISTER"),
        (Self::PasswordReset, "RATE_LIMIT_PASSWORD_RESET"),
        (Self::PhoneCode, "RATE_LIMIT_PHONE_CODE"),
        (Self::Export, "RATE_LIMIT_EXPORT"),
        (Self::Mail, "MAIL_RATE_LIMIT"),
        (Self::Default, "RATE_LIMIT_DEFAULT"),
    ];

    /// The name in keys and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserReads => "user_reads",
            Self::Login => "login",
            Self::Register => "register",
            Self::PasswordReset => "password_reset",
            Self::PhoneCode => "phone_code",
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

impl Budget {
    /// The budgets in the order of [`Action::ALL`].
    pub(super) fn read_all(from: &mut Sources) -> Option<[Self; Action::ALL.len()]> {
        let budgets = Action::ALL.map(|(_, name)| from.parse(name, str::parse));
        budgets.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok()
    }
}
