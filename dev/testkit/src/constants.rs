//! The secrets of tests.

/// The key of every test's tokens.
pub const JWT_SECRET: &str = "a key for tests that is long enough: 32 bytes";

/// The password of everybody in tests.
pub const PASSWORD: &str = "Correct-horse-1";
