//! What is known about a setting.

/// A setting: an environment variable, or a line of a settings file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// The value when the operator gives none.
    pub default: Option<&'static str>,
    /// The smallest and the largest number, of settings that are whole numbers.
    pub range: Option<(u64, u64)>,
    /// What the setting does, in one line of plain text.
    pub help: &'static str,
    /// Whether the value is secret, and may be in a file.
    pub is_secret: bool,
}

pub(super) const fn text(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default: Some(default), range: None, help, is_secret: false }
}

pub(super) const fn number(
    name: &'static str,
    default: &'static str,
    range: (u64, u64),
    help: &'static str,
) -> Setting {
    Setting { name, default: Some(default), range: Some(range), help, is_secret: false }
}

pub(super) const fn unset(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, range: None, help, is_secret: false }
}

pub(super) const fn secret(setting: Setting) -> Setting {
    Setting { is_secret: true, ..setting }
}

impl Setting {
    /// The setting that names a file with the value, if that is secret.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        self.is_secret.then(|| format!("{}_FILE", self.name))
    }

    /// What it does and, for a number, its range.
    pub(super) fn full_help(&self) -> String {
        match self.range {
            Some((least, most)) => format!("{} ({least} to {most})", self.help),
            None => self.help.to_owned(),
        }
    }
}
