//! How the command line shows what it found: as JSON, or as aligned columns.

use serde::Serialize;
use serde_json::{Map, Value};

/// A part of an answer and its name.
pub type Section = (&'static str, Value);

/// A part of an answer.
///
/// # Errors
/// When it has no JSON form.
pub fn section(name: &'static str, value: impl Serialize) -> anyhow::Result<Section> {
    Ok((name, serde_json::to_value(value)?))
}

/// The columns of the lists; JSON has more.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("queues", &["name", "waiting", "due", "oldest_seconds", "running", "paused_at"]),
    ("running", &["id", "kind", "attempt", "progress_current", "progress_total", "started_at", "worker"]),
    ("dead", &["id", "kind", "attempt", "finished_at", "error"]),
    ("schedules", &["name", "timetable", "next_run", "last_run", "last_state", "paused_at"]),
];

/// Prints an answer.
///
/// # Errors
/// When it has no JSON form.
#[expect(clippy::print_stdout, reason = "the command line answers there")]
pub fn print(sections: &[Section], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let all: Map<_, _> =
            sections.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for (name, value) in sections {
        match value {
            Value::Array(rows) => println!("{}", list(name, rows)),
            Value::Object(fields) => println!("{}", columns(&fields.iter().map(line).collect::<Vec<_>>())),
            value => println!("{name}: {}", shown(value)),
        }
    }
    Ok(())
}

fn line((name, value): (&String, &Value)) -> Vec<String> {
    vec![name.clone(), shown(value)]
}

fn list(name: &str, rows: &[Value]) -> String {
    let known = COLUMNS.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, columns)| columns);
    let head = known.iter().map(|column| column.replace('_', " ")).collect();
    let cells = |row: &Value| known.iter().map(|column| shown(&row[*column])).collect();
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    format!("{name}: {}\n{}", rows.len(), if rows.is_empty() { String::new() } else { columns(&lines) })
}

/// Lines with what stands below each other aligned.
fn columns(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
    let aligned = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(aligned).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        // One line a row, whatever a reason has in it.
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
