//! Cells of an export: whatever a name contains, the columns stay the same and no cell is a formula.

use serde_json::json;
use shared::{
    base::currency::Currency,
    parking::{
        bookings::history::Encoding,
        exports::{csv::CsvFile, line::Line, record::Layout},
    },
};

/// The input as a name from either database, and as a whole line of either encoding.
pub fn run(data: &[u8]) {
    let layout = Layout { currency: Currency::INR, with_user: true, anonymise: None };
    if let Ok(name) = std::str::from_utf8(data)
        && !name.contains('\0')
    {
        let (start, end) = ("2026-11-20T10:00:00+00:00", "2026-11-20T12:30:00.5+00:00");
        let line = json!([7, name, name, 12, start, end, 7500, "completed", name, name, name, 3, name]);
        let sqlite = written(&layout, Encoding::Json, line.to_string().as_bytes()).expect("a valid line");
        let cell = copied(name);
        let line = format!(
            "7\t{cell}\t{cell}\t12\t{start}\t{end}\t7500\tcompleted\t{cell}\t{cell}\t{cell}\t3\t{cell}"
        );
        let postgres = written(&layout, Encoding::Copy, line.as_bytes()).expect("a valid line");
        assert_eq!(sqlite, postgres, "the databases give different records");
        check_record(&sqlite, name);
    }
    for encoding in [Encoding::Copy, Encoding::Json] {
        // An invalid line is an error, and never a panic.
        drop(written(&layout, encoding, data));
    }
}

/// Escapes a text as PostgreSQL's COPY does.
fn copied(text: &str) -> String {
    let escapes = [("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")];
    escapes.iter().fold(text.to_owned(), |text, (plain, escaped)| text.replace(plain, escaped))
}

fn written(layout: &Layout, encoding: Encoding, line: &[u8]) -> Option<Vec<u8>> {
    let line = Line::parse(encoding, line)?;
    let mut file = CsvFile::create(Vec::new(), layout.clone(), false).ok()?;
    file.write(&line).ok()?;
    file.finish().ok()
}

fn check_record(content: &[u8], name: &str) {
    let mut reader = csv::Reader::from_reader(content);
    let records: Vec<_> = reader.records().map(|record| record.expect("valid CSV")).collect();
    assert_eq!(records.len(), 1, "one reservation must be one record");
    assert_eq!(records[0].len(), 14);
    for column in [1, 2, 10, 11, 12, 13] {
        let cell = &records[0][column];
        assert!(!cell.starts_with(['\t', '\r', '\n']), "{cell:?} begins with a blank that is dropped");
        for part in cell.split([';', '\t', '\r', '\n']) {
            let part = part.trim_start_matches(|c: char| c == '"' || c.is_whitespace() || c.is_control());
            assert!(
                !part.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']),
                "{cell:?} has a formula"
            );
        }
        let without = |text: &str| text.replace('\'', "");
        assert_eq!(without(cell), without(name), "the text has changed");
    }
}
