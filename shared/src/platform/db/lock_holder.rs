//! Who has the write lock of a SQLite file, from `/proc` on Linux. Elsewhere nobody knows.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The byte of the index of the log that a writer locks (WAL_WRITE_LOCK in SQLite's file format).
const WRITE_LOCK: u64 = 120;

/// The process that has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pid: u32,
    /// Its processor time so far, in clock ticks.
    ticks: Option<u64>,
}

impl Holder {
    /// The holder of the write lock, by the index of the log (`-shm`).
    pub(super) fn find(index: &Path) -> Option<Self> {
        let inode = fs::metadata(index).ok()?.ino();
        let pid = fs::read_to_string("/proc/locks").ok()?.lines().find_map(|line| holder(line, inode))?;
        let ticks = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| ticks(&stat));
        Some(Self { pid, ticks })
    }

    /// Whether it is this process, which can tell that it runs.
    pub(super) fn is_self(self) -> bool {
        self.pid == std::process::id()
    }
}

/// The process in a line such as `7: POSIX  ADVISORY  WRITE 4711 fe:00:11042928 120 120`, if it is about this lock.
fn holder(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "WRITE").skip(1);
    let (pid, file) = (words.next()?.parse().ok()?, words.next()?);
    let (first, last): (u64, &str) = (words.next()?.parse().ok()?, words.next()?);
    let is_inside = first <= WRITE_LOCK && last.parse().map_or(last == "EOF", |last: u64| WRITE_LOCK <= last);
    let is_file = file.rsplit(':').next()?.parse() == Ok(inode);
    (is_file && is_inside).then_some(pid)
}

/// User and system time in `/proc/PID/stat`. The name of the program, which comes first, may contain spaces.
fn ticks(stat: &str) -> Option<u64> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_found_by_file_and_byte() {
        for (line, pid) in [
            ("7: POSIX  ADVISORY  WRITE 4711 fe:00:77 120 120", Some(4711)),
            ("7: POSIX  ADVISORY  WRITE 4711 fe:00:77 100 EOF", Some(4711)),
            ("7: POSIX  ADVISORY  WRITE 4711 fe:00:77 121 127", None),
            ("7: POSIX  ADVISORY  WRITE 4711 fe:00:78 120 120", None),
            ("7: POSIX  ADVISORY  READ 4711 fe:00:77 120 120", None),
            ("7: -> POSIX  ADVISORY  WRITE x", None),
            ("", None),
        ] {
            assert_eq!(holder(line, 77), pid, "{line}");
        }
    }

    #[test]
    fn processor_time_is_read_behind_the_name() {
        let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194304 1 0 0 0 250 17 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(267));
        assert_eq!(ticks("4711"), None);
    }
}
