//! Checks all logs of tests, at the finest level, for secrets and personal data.

use std::{
    io::{self, Write},
    path::Path,
    sync::Once,
};

use tracing_subscriber::fmt;

use crate::constants::{JWT_SECRET, PASSWORD};

/// Checks every line that this process logs from now on, and exits at the first one that leaks.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A test may have installed a subscriber; its logs are not the product's.
        drop(fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| Watch).try_init());
    });
}

/// Panics if the log of a process in this folder leaks something.
pub fn check(folder: &Path) {
    let logs = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for log in logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let text = std::fs::read(&log).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some(what) = leak(line) {
                panic!("{} has {what}: {line}", log.display());
            }
        }
    }
}

struct Watch;

impl Write for Watch {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        if let Some(what) = leak(&text) {
            // A panic would only become an error 500 in some handler, and no test might notice.
            eprintln!("\nthe log has {what}: {text}");
            std::process::exit(101);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The kind of secret or personal data in a line of a log.
fn leak(line: &str) -> Option<&'static str> {
    let secrets =
        [(PASSWORD, "a password"), (JWT_SECRET, "the key for tokens"), ("$argon2", "a password hash")];
    let secret = secrets.iter().find(|(secret, _)| line.contains(secret)).map(|(_, what)| *what);
    secret
        .or_else(|| has_token(line).then_some("a token"))
        .or_else(|| has_address(line).then_some("a mail address"))
}

/// Whether the line has a JWT, whose encoded header begins with `{"`.
fn has_token(line: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    line.match_indices("eyJ").any(|(at, _)| {
        let length = line[at..].bytes().take_while(|byte| is_base64(*byte)).count();
        length > 15 && line[at + length..].starts_with('.')
    })
}

fn has_address(line: &str) -> bool {
    line.match_indices('@').any(|(at, _)| {
        let is_name = line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c));
        let end = line[at + 1..].find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
        let host = &line[at + 1..end.map_or(line.len(), |end| at + 1 + end)];
        let top = host.trim_end_matches('.').rsplit_once('.').map(|(_, top)| top);
        is_name && top.is_some_and(|top| top.len() > 1 && top.bytes().all(|byte| byte.is_ascii_alphabetic()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaked_secrets_in_logs_are_detected() {
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl";
        for line in [
            format!("authorization: Bearer {token}"),
            format!("body={{\"password\":\"{PASSWORD}\"}}"),
            "a mail to asha.k+1@mail.example.com.".into(),
            "user=Asha <a@b.io>".into(),
            "hash $argon2id$v=19$m=19456".into(),
            format!("settings: {JWT_SECRET}"),
        ] {
            assert!(leak(&line).is_some(), "{line}");
        }
        for line in [
            "user.id=7 request.id=01a20dec-0beb-7464-aeeb-54916c54c1d0",
            "redis://127.0.0.1:6379/0 user@10.0.0.1",
            "Parkade <parkade@localhost>",
            "eyJ.",
        ] {
            assert_eq!(leak(line), None, "{line}");
        }
    }
}
