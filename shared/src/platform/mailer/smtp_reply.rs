//! What a negative reply of a mail server means, by the step it answers, its code and its enhanced status (RFC 3463). Pure.

/// The step that a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The connection, the greeting and EHLO.
    Reach,
    /// STARTTLS.
    Encrypt,
    /// AUTH.
    LogIn,
    /// MAIL FROM.
    Sender,
    /// RCPT TO and DATA.
    Recipient,
    /// The end of the content.
    Content,
}

/// What a reply says about the mail and about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server takes no mail at the moment.
    Away,
    /// It takes none from us until a setting is changed, here or there.
    Misconfigured,
    /// Either our settings or this mail offend against a rule of the server; whether it takes other mails shows which.
    Policy,
    /// It may take this mail later: greylisting, or a full mailbox.
    Deferred,
    /// It will never take this mail.
    Rejected,
}

/// The meaning of a reply with a code from 400 to 599.
pub(super) fn classify(step: Step, code: u16, text: &str) -> Meaning {
    let status = enhanced_status(text);
    match (step, code) {
        // The server is closing the connection (RFC 5321, 3.8).
        (_, 421) => Meaning::Away,
        (Step::Reach | Step::Encrypt | Step::LogIn | Step::Sender, 400..=499) => Meaning::Away,
        // Too large, or an address that is not ASCII: that depends on the mail.
        (Step::Sender, _) if matches!(status, Some((5, 3, 4) | (5, 6, 7))) => Meaning::Rejected,
        (Step::Reach | Step::Encrypt | Step::LogIn | Step::Sender, _) => Meaning::Misconfigured,
        (_, 400..=499) => temporary(code, status),
        (Step::Recipient, _) => permanent(code, status),
        (Step::Content, _) => match status {
            Some((_, 7, _)) => Meaning::Policy,
            None if code == 554 => Meaning::Policy,
            _ => Meaning::Rejected,
        },
    }
}

fn temporary(code: u16, status: Option<Status>) -> Meaning {
    match (code, status) {
        (454, Some((_, 7, _))) => Meaning::Policy,
        (_, Some((_, 3, _))) => Meaning::Away,
        _ => Meaning::Deferred,
    }
}

fn permanent(code: u16, status: Option<Status>) -> Meaning {
    match (code, status) {
        // "Helo command rejected", "must issue STARTTLS first", "authentication required".
        (504 | 530 | 534 | 535 | 538, _) => Meaning::Misconfigured,
        // The sender's address, which is the same in all mails.
        (_, Some((_, 1, 7 | 8))) => Meaning::Misconfigured,
        (_, Some((_, 7, _))) => Meaning::Policy,
        (500 | 502 | 503, None | Some((_, 5, _))) => Meaning::Policy,
        (554, None | Some((_, 0 | 3, _))) => Meaning::Policy,
        _ => Meaning::Rejected,
    }
}

type Status = (u8, u16, u16);

/// The enhanced status: the first word, or as qmail writes it, `(#5.7.1)`.
fn enhanced_status(text: &str) -> Option<Status> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let in_parentheses = text.rsplit_once("(#").map_or("", |(_, rest)| rest.split(')').next().unwrap_or(""));
    [word, in_parentheses].into_iter().find_map(|word| {
        let mut numbers = word.split('.');
        let status =
            (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        (matches!(status.0, 4 | 5) && numbers.next().is_none()).then_some(status)
    })
}

#[cfg(test)]
mod tests {
    use super::{Meaning::*, Step::*, *};

    /// Replies of Postfix, Exim, Exchange, Gmail, SES, qmail, hMailServer, SmarterMail and others.
    const REPLIES: &[(Step, &str, Meaning)] = &[
        (Reach, "421 4.3.2 The maximum number of concurrent connections has exceeded a limit", Away),
        (Reach, "450 4.7.1 try again later", Away),
        (Reach, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list", Misconfigured),
        (Reach, "521 mail.example.com does not accept mail", Misconfigured),
        (Reach, "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", Misconfigured),
        (Encrypt, "454 4.7.0 TLS not available due to local problem", Away),
        (Encrypt, "502 5.5.1 unknown command", Misconfigured),
        (LogIn, "535 5.7.8 Error: authentication failed", Misconfigured),
        (LogIn, "535-5.7.8 Username and Password not accepted", Misconfigured),
        (LogIn, "534 5.7.9 Application-specific password required", Misconfigured),
        (LogIn, "454 4.7.0 Temporary authentication failure", Away),
        (LogIn, "432 4.7.12 A password transition is needed", Away),
        (Sender, "530 5.7.0 Must issue a STARTTLS command first", Misconfigured),
        (Sender, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", Misconfigured),
        (Sender, "553 5.1.8 Domain of sender address does not exist", Misconfigured),
        (Sender, "452 4.3.1 Insufficient system storage", Away),
        (Sender, "552 5.3.4 Message size exceeds fixed maximum message size", Rejected),
        (
            Recipient,
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
            Misconfigured,
        ),
        (Recipient, "504 Helo command rejected", Misconfigured),
        (Recipient, "554 5.7.1 <a>: Relay access denied", Policy),
        (Recipient, "554 Relay access denied", Policy),
        (Recipient, "454 4.7.1 <a>: Relay access denied", Policy),
        (Recipient, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Policy),
        (Recipient, "550 5.7.1 Relaying denied. Proper authentication required.", Policy),
        (Recipient, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Policy),
        (Recipient, "503 This mail server requires authentication when attempting to send", Policy),
        (Recipient, "530 5.7.1 Authentication required", Misconfigured),
        (Recipient, "550 5.1.8 <a>: Sender address rejected: Domain not found", Misconfigured),
        (Recipient, "421 4.7.28 Our system has detected an unusual rate of mail", Away),
        (Recipient, "451 4.3.0 <a>: Temporary lookup failure", Away),
        (Recipient, "452 4.3.1 Insufficient system storage", Away),
        (Recipient, "450 4.2.0 <a>: Recipient address rejected: Greylisted", Deferred),
        (Recipient, "451 4.7.1 Greylisting in action, please come back later", Deferred),
        (Recipient, "452 4.2.2 The email account that you tried to reach is over quota", Deferred),
        (Recipient, "450 4.1.2 <a>: Recipient address rejected: Domain not found", Deferred),
        (Recipient, "550 5.1.1 <a>: Recipient address rejected: User unknown", Rejected),
        (Recipient, "550-5.1.1 The email account that you tried to reach does not exist", Rejected),
        (Recipient, "550 No such user here", Rejected),
        (Recipient, "551 User not local; please try <b>", Rejected),
        (Recipient, "552 5.2.2 Mailbox full", Rejected),
        (Recipient, "553 5.1.3 Bad recipient address syntax", Rejected),
        (Recipient, "501 5.1.3 Bad recipient address syntax", Rejected),
        (Recipient, "550 5.4.1 Recipient address rejected: Access denied", Rejected),
        (Recipient, "554 5.1.2 Domain does not exist", Rejected),
        (Recipient, "556 5.1.10 Recipient address has null MX", Rejected),
        (Content, "421 4.4.2 timeout exceeded", Away),
        (Content, "451 4.7.1 Service unavailable - try again later", Deferred),
        (Content, "452 4.3.1 disk full", Away),
        (Content, "552 5.3.4 Message too big for system", Rejected),
        (Content, "550 5.6.0 Message content is not acceptable", Rejected),
        (Content, "550 5.7.1 Our system has detected that this message is likely spam", Policy),
        (Content, "554 Message rejected: Email address is not verified", Policy),
    ];

    #[test]
    fn replies_mean_what_their_servers_mean() {
        for (step, reply, meaning) in REPLIES {
            let (code, text) = reply.split_at(3);
            assert_eq!(classify(*step, code.parse().unwrap(), &text[1..]), *meaning, "{reply:?} to {step:?}");
        }
    }

    #[test]
    fn enhanced_status_is_read_from_either_place() {
        for (text, status) in [
            ("5.7.1 no", Some((5, 7, 1))),
            ("sorry (#4.3.0)", Some((4, 3, 0))),
            ("192.0.2.1 is blocked", None),
            ("2.0.0 ok", None),
            ("5.7 no", None),
            ("", None),
        ] {
            assert_eq!(enhanced_status(text), status, "{text:?}");
        }
    }
}
