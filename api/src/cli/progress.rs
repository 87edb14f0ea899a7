//! The progress of long commands: a spinner on a terminal, and a line every ten seconds elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use shared::base::plural::plural;

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const SPINNER_INTERVAL: Duration = Duration::from_millis(100);

/// Runs `work` and shows on standard error that it goes on. `rows` counts what is done, if that is known.
pub(super) async fn show<T>(what: &str, rows: Option<&AtomicU64>, work: impl Future<Output = T>) -> T {
    let is_terminal = io::stderr().is_terminal();
    let (bar, begun) = (ProgressBar::new_spinner(), Instant::now());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let mut ticks = tokio::time::interval(if is_terminal { SPINNER_INTERVAL } else { LINE_INTERVAL });
    ticks.tick().await;
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                let text = line(what, rows.map(|rows| rows.load(Ordering::Relaxed)), begun.elapsed());
                if is_terminal {
                    bar.set_message(text);
                    bar.tick();
                } else {
                    // A closed pipe does not end the work.
                    let _ = writeln!(io::stderr(), "{text}");
                }
            }
        }
    };
    bar.finish_and_clear();
    done
}

fn line(what: &str, rows: Option<u64>, elapsed: Duration) -> String {
    let rows = rows.map(|rows| format!(" {},", plural(rows, "row"))).unwrap_or_default();
    format!("{what}:{rows} {} s", elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_work_its_rows_and_the_time() {
        let time = Duration::from_millis(20_400);
        assert_eq!(line("backup", None, time), "backup: 20 s");
        assert_eq!(line("seed", Some(1_200), time), "seed: 1200 rows, 20 s");
    }

    #[tokio::test]
    async fn the_result_of_the_work_is_returned() {
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(show("test", Some(&AtomicU64::new(3)), work).await, 7);
    }
}
