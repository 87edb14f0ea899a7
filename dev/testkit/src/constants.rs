//! The secrets and settings of tests.

/// The key that signs the tokens of every test.
pub const JWT_SECRET: &str = "a key for tests that is long enough: 32 bytes";

/// The password of every user in tests.
pub const PASSWORD: &str = "Correct-horse-1";

/// What migrations of existing data depend on: the defaults.
#[must_use]
pub fn for_migrations() -> migration::Settings {
    migration::Settings { phone_country: "IN".parse().expect("a country") }
}
