//! What identifies a message, and how it is sent.

/// A message that is sent once.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// A message is sent once per key: `receipt:17`.
    pub key: String,
    /// What it is about; also its name in the user's activity.
    pub kind: &'static str,
    pub channel: Channel,
    /// The recipient, whose activity records the message; none for the chat.
    pub user_id: Option<i64>,
    pub if_unknown: IfUnknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Mail,
    /// A space in Google Chat.
    Chat,
    Sms,
}

impl Channel {
    /// The name stored in the database and shown by the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Chat => "chat",
            Self::Sms => "sms",
        }
    }
}

/// What to do if delivery of a message is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfUnknown {
    /// Send it once more, with the same Message-ID: a duplicate is better than none.
    #[default]
    Resend,
    /// Fail the job, and send the message when an operator requeues it: none is better than a duplicate.
    Hold,
}
