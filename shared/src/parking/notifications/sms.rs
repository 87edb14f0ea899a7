//! Sending an SMS through Twilio.

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

use crate::platform::{
    config::Twilio,
    http::{self, Body, Post, Rules},
    mailer::SendError,
};

/// Sends a message through Twilio's API.
pub(super) async fn send(twilio: &Twilio, to: String, text: String) -> Result<(), SendError> {
    let allow_http = twilio.url.starts_with("http://");
    let authority = twilio.url.trim_start_matches("https://").trim_start_matches("http://");
    // Unencrypted to this machine only; encrypted to whatever host the operator has set.
    let is_address_allowed =
        if allow_http { |address: std::net::IpAddr| address.is_loopback() } else { |_| true };
    let authority = authority.to_owned();
    let rules = Rules { authority, is_address_allowed, allow_http, root_certificate: None };
    let login = format!("{}:{}", twilio.account, twilio.token.expose_secret());
    let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", twilio.url, twilio.account);
    let post = Post {
        url: url.into(),
        authorization: Some(SecretString::from(format!("Basic {}", BASE64_STANDARD.encode(login)))),
        body: Body::Form(vec![("To", to), ("From", twilio.from.clone()), ("Body", text)]),
    };
    let answer = http::send(&rules, post).await?;
    answer.into_result().map_err(|refused| match (refused, error_code(&answer.body)) {
        // Only the code: Twilio's message repeats the phone number.
        (SendError::Permanent(why), Some(code)) => {
            SendError::Permanent(format!("{why}, Twilio error {code}"))
        }
        (other, _) => other,
    })
}

/// The code of Twilio's error.
fn error_code(body: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?.get("code")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_error_is_read() {
        assert_eq!(
            error_code(r#"{"code": 21211, "message": "The 'To' number +91… is not valid"}"#),
            Some(21211)
        );
        for body in ["", "null", "{}", "[1]", "<html>", r#"{"code": "x"}"#] {
            assert_eq!(error_code(body), None, "{body}");
        }
    }
}
