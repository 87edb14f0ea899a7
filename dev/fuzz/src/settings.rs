//! Settings: a file of any bytes is read or refused, and no secret is in what is said about it.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use shared::platform::config::{Config, SETTINGS, Sources};
use tempfile::NamedTempFile;

/// Settings whose values nobody may see.
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

/// A settings file, and then a value: the first byte says of which setting.
pub fn run(data: &[u8]) {
    static FILE: OnceLock<Mutex<NamedTempFile>> = OnceLock::new();
    let file = FILE.get_or_init(|| Mutex::new(NamedTempFile::new().expect("a file")));
    let file = file.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::File::create(file.path()).and_then(|mut file| file.write_all(data)).expect("it is written");
    drop(Config::load(Sources::read(Some(file.path()))));

    let Some((first, value)) = data.split_first() else { return };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let setting = SETTINGS[usize::from(*first) % SETTINGS.len()].name;
    let Err(problems) = Config::load(Sources::of([(setting, value)])) else { return };
    let said = problems.to_string();
    assert!(SETTINGS.iter().any(|setting| said.contains(setting.name)), "{setting}={value:?}: {said}");
    if SECRETS.contains(&setting) {
        let usual =
            Config::load(Sources::of([(setting, "\u{1}")])).map_or_else(|p| p.to_string(), |_| String::new());
        let value = value.trim();
        assert!(value.is_empty() || usual.contains(value) || !said.contains(value), "{setting}: {said}");
    }
}
