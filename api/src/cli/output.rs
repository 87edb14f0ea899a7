//! Standard output of commands.

use std::io::{self, Write};

/// Prints a line.
pub(super) fn print(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Treats a pipe that its reader has closed as success.
pub(super) fn ignore_broken_pipe(error: anyhow::Error) -> anyhow::Result<()> {
    match error.downcast_ref::<io::Error>() {
        Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}
