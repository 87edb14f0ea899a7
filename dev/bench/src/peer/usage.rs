//! Processor time and memory of processes and of those that they have started, from `/proc`.

use std::{collections::HashMap, fs, time::Duration};

/// These processes and their descendants.
pub fn family(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // A process may end while it is read.
        if let Some((pid, fields)) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
            children.entry(u32::try_from(fields[1]).unwrap_or(0)).or_default().push(pid);
        }
    }
    let mut family = roots.to_vec();
    let mut next = 0;
    while let Some(parent) = family.get(next) {
        family.extend(children.get(parent).into_iter().flatten());
        next += 1;
    }
    family
}

/// The processor time so far, with that of children that have ended, with a resolution of 10 ms each.
pub fn processor_time(pids: &[u32]) -> Duration {
    // utime, stime, cutime and cstime.
    let ticks = pids.iter().filter_map(|pid| stat(*pid)).flat_map(|fields| fields[11..15].to_vec());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Proportional set size in bytes: memory that processes share is counted once.
pub fn memory(pids: &[u32]) -> u64 {
    let kilobytes = |pid: &u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    1024 * pids.iter().filter_map(kilobytes).sum::<u64>()
}

/// The fields of `/proc/PID/stat` after the name, from the state, which is 0 here, on.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<u64> = fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    (fields.len() > 15).then_some(fields)
}
