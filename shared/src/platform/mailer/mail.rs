//! A mail before it is encoded.

use chrono::{DateTime, Utc};

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's name; any text.
    pub to_name: String,
    /// The recipient's address; validated when the mail is sent.
    pub to_address: String,
    /// Without angle brackets.
    pub message_id: String,
    /// When it was written.
    pub date: DateTime<Utc>,
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
    /// Images that the HTML shows.
    pub inline: Vec<Inline>,
    /// A URL where a POST unsubscribes from mails of this kind (RFC 8058).
    pub unsubscribe: Option<String>,
    /// An attached file.
    pub attachment: Option<Attachment>,
}

/// An image in a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// Unique in the mail.
    pub name: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Inline {
    /// The URL by which the HTML of the mail shows it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("cid:{}@parkade", self.name)
    }
}

/// An attached file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name to save it under; any text.
    pub file_name: String,
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}
