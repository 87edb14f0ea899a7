//! Cells of an export: whatever a name contains, the columns stay the same and no cell is a formula.

use serde_json::json;
use shared::{
    base::currency::Currency,
    parking::{
        bookings::history::Encoding,
        exports::csv::{Format, write_line},
    },
};

/// The input as a name from either database, and as a whole line of either encoding.
pub fn run(data: &[u8]) {
    let format = Format { currency: Currency::INR, with_user: true, anonymise: None };
    if let Ok(name) = std::str::from_utf8(data)
        && !name.contains('\0')
    {
        let (start, end) = ("2026-11-20T10:00:00+00:00", "2026-11-20T12:30:00.5+00:00");
        let line = json!([7, name, name, 12, start, end, 7500, "completed", name, name, name, 3, name]);
        let sqlite = written(&format, Encoding::Json, line.to_string().as_bytes()).expect("a valid line");
        let cell = copied(name);
        let line = format!(
            "7\t{cell}\t{cell}\t12\t{start}\t{end}\t7500\tcompleted\t{cell}\t{cell}\t{cell}\t3\t{cell}"
        );
        let postgres = written(&format, Encoding::Copy, line.as_bytes()).expect("a valid line");
        assert_eq!(sqlite, postgres, "the databases give different records");
        check_record(&sqlite, name);
    }
    for encoding in [Encoding::Copy, Encoding::Json] {
        // An invalid line is an error, and never a panic.
        drop(written(&format, encoding, data));
    }
}

/// Escapes a text as PostgreSQL's COPY does.
fn copied(text: &str) -> String {
    let escapes = [("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")];
    escapes.iter().fold(text.to_owned(), |text, (plain, escaped)| text.replace(plain, escaped))
}

fn written(format: &Format, encoding: Encoding, line: &[u8]) -> Option<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    write_line(&mut out, format, encoding, line).ok()?;
    out.into_inner().ok()
}

fn check_record(record: &[u8], name: &str) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record);
    let records: Vec<_> = reader.records().map(|record| record.expect("valid CSV")).collect();
    assert_eq!(records.len(), 1, "one reservation must be one record");
    assert_eq!(records[0].len(), 14);
    for column in [1, 2, 10, 11, 12, 13] {
        let cell = &records[0][column];
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?} is a formula");
        assert_eq!(
            cell.strip_prefix('\'').filter(|_| cell != name).unwrap_or(cell),
            name,
            "the text has changed"
        );
    }
}
