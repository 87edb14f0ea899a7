//! The token in every form, which other sites cannot know. It is bound to the session or, before a login, to the cookie of the
//! visitor.

use hmac::Mac;
use shared::{Result, app::App};
use uuid::Uuid;

/// Separates these tokens from everything else signed with the secret.
const PURPOSE: &[u8] = b"parkade: forms of pages, 1";

/// What the forms of a page are bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// An open session.
    Session(Uuid),
    /// The value of the visitor's cookie.
    Visitor(String),
}

impl Binding {
    fn text(&self) -> String {
        match self {
            Self::Session(id) => format!("session {id}"),
            Self::Visitor(value) => format!("visitor {value}"),
        }
    }

    /// The token of a form.
    pub(super) fn token(&self, app: &App) -> Result<String> {
        let signature = app.keys.lasting(PURPOSE)?.sign(self.text().as_bytes())?;
        Ok(hex::encode(signature.finalize().into_bytes()))
    }

    /// Whether the token came from a form that was shown to this visitor.
    pub(super) fn accepts(&self, app: &App, token: &str) -> Result<bool> {
        let Ok(token) = hex::decode(token) else { return Ok(false) };
        for key in app.keys.all_lasting(PURPOSE)? {
            // Compares in constant time.
            if key.sign(self.text().as_bytes())?.verify_slice(&token).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
