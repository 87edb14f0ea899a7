//! The secrets of tests.

/// The key that signs the tokens of every test.
pub const JWT_SECRET: &str = "a key for tests that is long enough: 32 bytes";

/// The password of every user in tests.
pub const PASSWORD: &str = "Correct-horse-1";
