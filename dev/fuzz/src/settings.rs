//! Settings: any file is either accepted or rejected, and no error message contains a secret.

use std::{io::Write, sync::OnceLock};

use parking_lot::Mutex;
use shared::platform::config::{Config, SETTINGS, Sources};
use tempfile::NamedTempFile;

/// Settings whose values are secret.
const SECRETS: [&str; 8] = [
    "JWT_SECRET_KEY",
    "DATABASE_URL",
    "REDIS_PASSWORD",
    "CACHE_REDIS_URL",
    "ADMIN_PASSWORD",
    "MAIL_PASSWORD",
    "GOOGLE_CHAT_WEBHOOK_URL",
    "TWILIO_AUTH_TOKEN",
];

/// The input as a settings file, and as the value of the setting that its first byte selects.
pub fn run(data: &[u8]) {
    static FILE: OnceLock<Mutex<NamedTempFile>> = OnceLock::new();
    let file = FILE.get_or_init(|| Mutex::new(NamedTempFile::new().expect("a file")));
    let file = file.lock();
    std::fs::File::create(file.path()).and_then(|mut file| file.write_all(data)).expect("writing the file");
    drop(Config::load(Sources::read(Some(file.path()))));

    let Some((first, value)) = data.split_first() else { return };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let setting = SETTINGS[usize::from(*first) % SETTINGS.len()].name;
    let Err(problems) = Config::load(Sources::of([(setting, value)])) else { return };
    let message = problems.to_string();
    assert!(SETTINGS.iter().any(|setting| message.contains(setting.name)), "{setting}={value:?}: {message}");
    if SECRETS.contains(&setting) {
        let without =
            Config::load(Sources::of([(setting, "\u{1}")])).map_or_else(|p| p.to_string(), |_| String::new());
        let value = value.trim();
        assert!(
            value.is_empty() || without.contains(value) || !message.contains(value),
            "{setting}: {message}"
        );
    }
}
