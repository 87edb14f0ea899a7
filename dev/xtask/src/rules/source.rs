//! The Rust files of the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// The lines with their numbers, those that are only a comment left blank.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_comment = |line: &str| line.trim_start().starts_with("//");
        (1..).zip(self.text.lines().map(move |line| if is_comment(line) { "" } else { line }))
    }
}

/// Every Rust file of every package.
pub(super) fn read(workspace: &Path) -> Result<Vec<Source>> {
    let mut folders = Vec::new();
    for parent in [workspace.to_owned(), workspace.join("dev")] {
        folders.extend(std::fs::read_dir(parent)?.flatten().map(|entry| entry.path()));
    }
    let mut files = Vec::new();
    for package in folders.into_iter().filter(|folder| folder.join("Cargo.toml").is_file()) {
        find(&package, &mut files)?;
    }
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(Source { path: file.strip_prefix(workspace)?.display().to_string(), text })
    };
    files.into_iter().map(read).collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
