//! CSV files, quoted as in RFC 4180, with LF line ends: UTF-8, times in UTC, amounts as decimals.

use std::io::{self, Write};

use csv::WriterBuilder;

use super::{
    formula::neutralize,
    line::Line,
    record::{Cell, Layout},
};

/// Marks a file as UTF-8 for spreadsheets that would guess something else.
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Size in bytes of the buffer before the file.
const BUFFER: usize = 64 * 1024;

/// A CSV file that is being written.
#[derive(Debug)]
pub struct CsvFile<W: Write> {
    out: csv::Writer<W>,
    layout: Layout,
}

impl<W: Write> CsvFile<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn create(mut out: W, layout: Layout, bom: bool) -> io::Result<Self> {
        if bom {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        let mut out = WriterBuilder::new().buffer_capacity(BUFFER).from_writer(out);
        out.write_record(layout.columns().iter().map(|(name, _)| name)).map_err(io_error)?;
        Ok(Self { out, layout })
    }

    /// Writes the record for one line.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        for cell in self.layout.cells(line) {
            match cell {
                Cell::Text(text) => self.out.write_field(neutralize(&text)),
                Cell::Number(number) => self.out.write_field(number.to_string()),
                Cell::Time(time) => self.out.write_field(time.rfc3339()),
                Cell::Hours(hundredths) => {
                    self.out.write_field(format!("{}.{:02}", hundredths / 100, hundredths % 100))
                }
                Cell::Amount(amount) => self.out.write_field(self.layout.currency.digits(amount.minor())),
                Cell::Empty => self.out.write_field(""),
            }
            .map_err(io_error)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(io_error)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("writing CSV: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::currency::Currency, parking::bookings::history::Encoding};

    fn written(layout: &Layout, line: &str) -> String {
        let encoding = if line.starts_with('[') { Encoding::Json } else { Encoding::Copy };
        let mut file = CsvFile::create(Vec::new(), layout.clone(), false).unwrap();
        file.write(&Line::parse(encoding, line.as_bytes()).unwrap()).unwrap();
        let text = String::from_utf8(file.finish().unwrap()).unwrap();
        text.split_once('\n').unwrap().1.to_owned()
    }

    fn layout() -> Layout {
        Layout { currency: Currency::INR, with_user: false, anonymise: None }
    }

    const POSTGRES: &str = "7\tMain St\t1, Main St\t12\t2026-11-20 10:00:00.5+00\t2026-11-20 12:30:00+00\t7500\tcompleted\tUPI\tTXN1\tMH12AB1234\t3\tAsha";
    const SQLITE: &str = r#"[7,"Main St","1, Main St",12,"2026-11-20T10:00:00.500+00:00","2026-11-20T12:30:00.000+00:00",7500,"completed","UPI","TXN1","MH12AB1234",3,"Asha"]"#;

    #[test]
    fn both_databases_produce_the_same_record() {
        let expected = "7,Main St,\"1, Main St\",12,2026-11-20T10:00:00.5Z,2026-11-20T12:30:00Z,2.50,75.00,INR,completed,UPI,TXN1,MH12AB1234\n";
        assert_eq!(written(&layout(), POSTGRES), expected);
        assert_eq!(written(&layout(), SQLITE), expected);
    }

    #[test]
    fn active_stay_has_neither_end_nor_duration() {
        let line = "7\tL\tA\t1\t2026-11-20 10:00:00+00\t\\N\t0\tactive\t\\N\t\\N\t\\N\t3\tAsha";
        let json = r#"[7,"L","A",1,"2026-11-20T10:00:00+00:00",null,0,"active",null,null,null,3,"Asha"]"#;
        for line in [line, json] {
            assert_eq!(written(&layout(), line), "7,L,A,1,2026-11-20T10:00:00Z,,,0.00,INR,active,,,\n");
        }
    }

    #[test]
    fn formulas_become_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\\tx", "\\rx", "\\nx", "＝1+1", " =1"] {
            let line = format!("7\t{bad}\t{bad}\t1\t\\N\t\\N\t5\tactive\t{bad}\t{bad}\t{bad}\t3\t{bad}");
            let record = written(&Layout { with_user: true, ..layout() }, &line);
            let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let cells = cells.records().next().unwrap().unwrap();
            for column in [1, 2, 10, 11, 12, 13] {
                assert!(cells[column].starts_with('\''), "{:?}", &cells[column]);
            }
        }
    }

    #[test]
    fn text_survives_both_encodings() {
        let copy = "7\ta\\\\b\\tc\\nd \"q\" ünï 東京\tA\t1\t\\N\t\\N\t5\tactive\t\\N\t\\N\t\\N\t3\tAsha";
        let json = r#"[7,"a\\b\tc\nd \"q\" ünï 東京","A",1,null,null,5,"active",null,null,null,3,"Asha"]"#;
        for line in [copy, json] {
            let record = written(&layout(), line);
            let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            assert_eq!(&cells.records().next().unwrap().unwrap()[1], "a\\b\tc\nd \"q\" ünï 東京");
        }
    }

    #[test]
    fn anonymised_rows_identify_nobody() {
        let layout = Layout { with_user: true, anonymise: Some(b"key".to_vec()), ..layout() };
        let record = written(&layout, POSTGRES);
        for identity in ["TXN1", "MH12AB1234", "Asha"] {
            assert!(!record.contains(identity), "{identity} in {record}");
        }
        assert_eq!(record, written(&layout, POSTGRES), "the hash is stable");
        let other = Layout { anonymise: Some(b"other key".to_vec()), ..layout };
        assert_ne!(record, written(&other, POSTGRES), "the hash is keyed");
    }

    #[test]
    fn malformed_lines_are_rejected() {
        for line in ["", "7\tL", &POSTGRES.replace("7500", "x"), &POSTGRES.replace("\t12\t", "\t\\N\t")] {
            assert!(Line::parse(Encoding::Copy, line.as_bytes()).is_none(), "{line}");
        }
        assert!(Line::parse(Encoding::Json, b"[1,2]").is_none());
    }
}
