//! Output of the command line: JSON, or aligned columns.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

/// A named part of the output.
pub type Section = (&'static str, Value);

/// A part of the output from anything with a JSON form.
pub fn section(name: &'static str, value: impl Serialize) -> anyhow::Result<Section> {
    Ok((name, serde_json::to_value(value)?))
}

/// The columns of lists; JSON has more fields.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("queues", &["name", "waiting", "due", "oldest_seconds", "running", "paused_at"]),
    ("running", &["id", "kind", "attempt", "progress_current", "progress_total", "started_at", "worker"]),
    ("retrying", &["id", "kind", "attempt", "next_try", "error"]),
    ("dead", &["id", "kind", "attempt", "finished_at", "error"]),
    ("schedules", &["name", "timetable", "next_run", "last_run", "last_state", "paused_at"]),
];

/// Prints the output. A reader that stops early, such as `head`, is no error.
pub fn print(sections: &[Section], as_json: bool) -> anyhow::Result<()> {
    let text = if as_json { json(sections)? } else { sections.iter().map(plain).collect() };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn json(sections: &[Section]) -> anyhow::Result<String> {
    let all: Map<_, _> = sections.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn plain((name, value): &Section) -> String {
    match value {
        Value::Array(rows) => list(name, rows) + "\n",
        Value::Object(fields) => {
            let heading =
                if *name == "job" { String::new() } else { format!("{}:\n", name.replace('_', " ")) };
            let lines = fields.iter().map(|(name, value)| vec![name.clone(), cell(value)]);
            heading + &align(&lines.collect::<Vec<_>>()) + "\n"
        }
        value => format!("{name}: {}\n", cell(value)),
    }
}

fn list(name: &str, rows: &[Value]) -> String {
    let columns = COLUMNS.iter().find(|(list, _)| *list == name).map_or(&[][..], |(_, columns)| columns);
    let head = columns.iter().map(|column| column.replace('_', " ")).collect();
    let cells = |row: &Value| columns.iter().map(|column| cell(&row[*column])).collect();
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    format!("{name}: {}\n{}", rows.len(), if rows.is_empty() { String::new() } else { align(&lines) })
}

/// Pads the cells of each column to the same width.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    let aligned = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(aligned).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        // A row is one line, whatever an error contains.
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_a_row_is_one_line() {
        let rows = [
            json!({ "id": "1", "kind": "send-receipt", "attempt": 10, "finished_at": null, "error": "no\nroute" }),
            json!({ "id": "22", "kind": "é", "attempt": 1, "finished_at": "now", "error": "x" }),
        ];
        let text = list("dead", &rows);
        assert_eq!(
            text,
            "dead: 2\n  id  kind          attempt  finished at  error\n  \
             1   send-receipt  10       -            no route\n  22  é             1        now          x\n"
        );
        assert_eq!(list("dead", &[]), "dead: 0\n");
    }
}
