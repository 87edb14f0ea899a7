//! How full a disk is.

use std::{io, path::Path};

/// How much of the disk that holds `path` is used, in per cent, rounded up as `df` does. What is not there yet will be on
/// the disk of the folder above.
///
/// # Errors
/// Those of the operating system.
pub fn used_percent(path: &Path) -> io::Result<u8> {
    let path = path.canonicalize().or_else(|_| std::path::absolute(path))?;
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let disk = rustix::fs::statvfs(there)?;
    Ok(percent(disk.f_blocks.saturating_sub(disk.f_bfree), disk.f_bavail))
}

/// Space that is kept for the superuser counts as neither used nor available.
fn percent(used: u64, available: u64) -> u8 {
    let (used, whole) = (u128::from(used), u128::from(used) + u128::from(available));
    if whole == 0 { 0 } else { u8::try_from((used * 100).div_ceil(whole)).unwrap_or(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_as_full_as_df_says() {
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
    fn what_is_not_there_yet_is_on_the_disk_of_the_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let there = used_percent(folder.path()).unwrap();
        let below = used_percent(&folder.path().join("not/yet")).unwrap();
        assert!(there.abs_diff(below) <= 1, "{there} {below}");
    }
}
