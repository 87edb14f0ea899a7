//! Disk usage.

use std::{io, path::Path};

use anyhow::Context;

/// The usage of the disk that contains `path`, in percent, rounded up as `df` does. A path that does not exist yet counts as
/// in its nearest existing parent.
pub fn used_percent(path: &Path) -> io::Result<u8> {
    let path = path.canonicalize().or_else(|_| std::path::absolute(path))?;
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let disk = rustix::fs::statvfs(existing)?;
    Ok(percent(disk.f_blocks.saturating_sub(disk.f_bfree), disk.f_bavail))
}

/// Fails unless files can be created in the folder, which is made if it does not exist.
///
/// # Errors
/// One that names the setting and the path.
pub fn ensure_writable(setting: &str, folder: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
    tried.with_context(|| format!("{setting}: cannot write to {}", path.display()))
}

/// Space reserved for the superuser is neither used nor available.
fn percent(used: u64, available: u64) -> u8 {
    let (used, total) = (u128::from(used), u128::from(used) + u128::from(available));
    if total == 0 { 0 } else { u8::try_from((used * 100).div_ceil(total)).unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_computed_as_df_does() {
        for (used, available, expected) in [
            (0, 0, 0),
            (0, 5, 0),
            (1, 999, 1),
            (50, 50, 50),
            (89_999, 10_001, 90),
            (9, 0, 100),
            (u64::MAX, u64::MAX, 50),
        ] {
            assert_eq!(percent(used, available), expected, "{used} {available}");
        }
    }

    #[test]
    fn an_unwritable_folder_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        ensure_writable("UPLOAD_FOLDER", &folder.path().join("new/folder")).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = ensure_writable("UPLOAD_FOLDER", &file.join("below")).unwrap_err().to_string();
        assert!(
            error.starts_with("UPLOAD_FOLDER: cannot write to /") && error.contains("file/below"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_path_is_on_the_disk_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let existing = used_percent(folder.path()).unwrap();
        let below = used_percent(&folder.path().join("not/yet")).unwrap();
        assert!(existing.abs_diff(below) <= 1, "{existing} {below}");
    }
}
