//! How sending a message to another system can fail.

/// Why a message is not known to have been accepted. The texts never contain an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The server rejected it permanently, or its address can never work.
    #[error("rejected permanently: {0}")]
    Permanent(String),
    /// The server rejected it for now, and may accept others.
    #[error("rejected for now: {0}")]
    Temporary(String),
    /// It was not handed over, because the server cannot be reached or takes no message now.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was not handed over, and will not be before an operator fixes the configuration.
    #[error("not sent until the configuration is fixed: {0}")]
    Setup(String),
    /// The server rejected it by a rule that concerns either our configuration or this message.
    #[error("rejected by a rule of the server: {0}")]
    Policy(String),
    /// The server received all of it and did not reply: it may have accepted it.
    #[error("may have been sent: {0}")]
    Unknown(String),
}
