//! How sending a message to another system can fail.

/// Why a message is not known to have been taken. The texts never hold an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was refused for good, or its address can never work.
    #[error("refused for good: {0}")]
    Permanent(String),
    /// It was refused for now.
    #[error("refused for now: {0}")]
    Temporary(String),
    /// It never came to be handed over.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It never came to be handed over, and will not before an operator has changed something.
    #[error("not sent, and something has to be set right: {0}")]
    Setup(String),
    /// The server had all of it and gave no answer: it may have taken it.
    #[error("it may have been sent: {0}")]
    Unknown(String),
}
