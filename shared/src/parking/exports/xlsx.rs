//! Excel workbooks, for people: real dates in local time, amounts as numbers, everything that identifies as text.
//!
//! The writer keeps one row in memory. Rows go as XML into a file without a name beside the unfinished export, which
//! disappears with its handle, and are compressed into the workbook at the end.

use std::{
    any::Any,
    io::{self, BufWriter, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_xlsxwriter::{DocProperties, Format, IgnoreError, Workbook, Worksheet, XlsxError};

use super::{
    line::Line,
    record::{Cell, Kind, Layout},
};
use crate::base::currency::Currency;

/// Rows that a sheet can hold, with the header.
const MAX_ROWS: u32 = 1_048_576;

/// Between fast and small.
const COMPRESSION: u8 = 3;

/// Size in bytes of the buffer before the file.
const BUFFER: usize = 64 * 1024;

/// A workbook that is being written.
pub struct XlsxFile {
    book: Workbook,
    layout: Layout,
    zone: Tz,
    /// How many sheets there are. Lines go into the last one.
    sheets: usize,
    /// The row for the next line.
    row: u32,
    max_rows: u32,
}

impl XlsxFile {
    /// A workbook with only the header. `created_at` is noted in it, `folder` is for temporary files.
    ///
    /// # Errors
    /// If a temporary file cannot be created.
    pub fn create(folder: &Path, layout: Layout, zone: Tz, created_at: DateTime<Utc>) -> io::Result<Self> {
        let mut book = Workbook::new();
        let comment = format!("Times are local to {zone}.");
        // The creation time of the export, so that every run writes the same bytes.
        book.set_properties(&DocProperties::new().set_creation_datetime(&created_at).set_comment(comment));
        book.set_zip_compression_level(COMPRESSION).set_tempdir(folder).map_err(io_error)?;
        let mut file = Self { book, layout, zone, sheets: 0, row: 0, max_rows: MAX_ROWS };
        guarded(|| file.add_sheet())?;
        Ok(file)
    }

    /// Writes the row for one line, on a further sheet if the last one is full.
    ///
    /// # Errors
    /// If the temporary file cannot be written, for example because the disk is full, or if a text is too long for Excel.
    pub fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        guarded(|| self.write_row(line))
    }

    /// Compresses the workbook into `out`.
    ///
    /// # Errors
    /// If `out` or the temporary file fails.
    pub fn finish<W: Write + Send>(mut self, out: W) -> io::Result<W> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        guarded(|| self.book.save_to_writer(&mut out))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn write_row(&mut self, line: &Line<'_>) -> Result<(), XlsxError> {
        if self.row == self.max_rows {
            self.add_sheet()?;
        }
        let sheet = self.book.worksheet_from_index(self.sheets - 1)?;
        for (column, cell) in (0..).zip(self.layout.cells(line)) {
            match cell {
                Cell::Text(text) => sheet.write_string(self.row, column, String::from_utf8_lossy(&text))?,
                Cell::Number(number) => sheet.write_number(self.row, column, float(number))?,
                Cell::Time(time) => {
                    let instant = DateTime::from_timestamp(time.seconds, 0).unwrap_or_default();
                    sheet.write_datetime(self.row, column, instant.with_timezone(&self.zone).naive_local())?
                }
                Cell::Hours(hundredths) => sheet.write_number(self.row, column, float(hundredths) / 100.0)?,
                Cell::Amount(amount) => {
                    sheet.write_number(self.row, column, self.layout.currency.major(amount.minor()))?
                }
                Cell::Empty => sheet,
            };
        }
        self.row += 1;
        Ok(())
    }

    fn add_sheet(&mut self) -> Result<(), XlsxError> {
        let columns = self.layout.columns();
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        self.sheets += 1;
        let number = if self.sheets == 1 { String::new() } else { format!(" {}", self.sheets) };
        sheet.set_name(format!("Reservations{number}"))?;
        sheet.set_freeze_panes(1, 0)?;
        let bold = Format::new().set_bold();
        for (column, (name, kind)) in (0..).zip(columns) {
            describe(sheet, column, *kind, self.layout.currency)?;
            sheet.write_string_with_format(0, column, *name, &bold)?;
        }
        self.row = 1;
        Ok(())
    }
}

/// Sets width and number format of a column.
fn describe(sheet: &mut Worksheet, column: u16, kind: Kind, currency: Currency) -> Result<(), XlsxError> {
    let (width, format) = match kind {
        Kind::Text => (20, Format::new().set_num_format("@")),
        Kind::Number => (8, Format::new().set_num_format("0")),
        Kind::Time => (19, Format::new().set_num_format("yyyy-mm-dd hh:mm:ss")),
        Kind::Hours => (16, Format::new().set_num_format("0.00")),
        Kind::Amount => (16, Format::new().set_num_format(amount_format(currency))),
    };
    if kind == Kind::Text {
        // Excel marks ids and plates that look like numbers.
        sheet.ignore_error_range(1, column, MAX_ROWS - 1, column, IgnoreError::NumberStoredAsText)?;
    }
    sheet.set_column_width(column, width)?;
    sheet.set_column_format(column, &format)?;
    Ok(())
}

/// An amount with grouping, after the code of its currency.
fn amount_format(currency: Currency) -> String {
    let (code, decimals) = (currency.code(), currency.decimals() as usize);
    let point = if decimals == 0 { "" } else { "." };
    format!("[${code}] #,##0{point}{}", "0".repeat(decimals))
}

#[expect(clippy::cast_precision_loss, reason = "ids of spots and hours are far below 2^53")]
fn float(number: i64) -> f64 {
    number as f64
}

/// Turns panics into errors: the writer panics if it cannot write its temporary file.
fn guarded<T>(work: impl FnOnce() -> Result<T, XlsxError>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(XlsxError::IoError(panic_error(&*panic))))
        .map_err(io_error)
}

/// The error behind a panic, whose message ends with the error's debug form.
fn panic_error(panic: &(dyn Any + Send)) -> io::Error {
    let message = panic.downcast_ref::<String>().map_or("the writer of workbooks panicked", String::as_str);
    let is_kind = |kind: &io::ErrorKind| message.contains(&format!("kind: {kind:?},"));
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    io::Error::new(kinds.into_iter().find(is_kind).unwrap_or(io::ErrorKind::Other), message)
}

fn io_error(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) | XlsxError::TempFileError(_, error) => error,
        XlsxError::ZipError(error) => error.into(),
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, DataType, Reader, Xlsx};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::{
        parking::{bookings::history::Encoding, exports::file::PartFile},
        platform::entities::export::Format as FileFormat,
    };

    fn book(folder: &Path, zone: Tz) -> XlsxFile {
        let layout = Layout { currency: Currency::INR, with_user: false, anonymise: None };
        let created_at = "2026-11-20T12:00:00Z".parse().unwrap();
        XlsxFile::create(folder, layout, zone, created_at).unwrap()
    }

    fn write(book: &mut XlsxFile, id: u32, address: &str, start: &str) {
        let line =
            serde_json::json!([id, "L", address, 1, start, null, 5, "active", null, null, null, 3, "Asha"]);
        book.write(&Line::parse(Encoding::Json, line.to_string().as_bytes()).unwrap()).unwrap();
    }

    fn read(content: Vec<u8>) -> Vec<(String, Vec<Vec<Data>>)> {
        let mut book = Xlsx::new(Cursor::new(content)).unwrap();
        let sheets = book.worksheets();
        sheets.into_iter().map(|(name, sheet)| (name, sheet.rows().map(<[Data]>::to_vec).collect())).collect()
    }

    #[test]
    fn full_sheet_continues_on_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = book(folder.path(), Tz::UTC);
        book.max_rows = 3;
        (1..=5).for_each(|id| write(&mut book, id, "A", "2026-11-20 10:00:00+00"));
        let sheets = read(book.finish(Vec::new()).unwrap());
        let names: Vec<_> = sheets.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Reservations", "Reservations 2", "Reservations 3"]);
        let first_column = |rows: &[Vec<Data>]| rows.iter().map(|row| row[0].to_string()).collect::<Vec<_>>();
        let ids: Vec<_> = sheets.iter().map(|(_, rows)| first_column(rows)).collect();
        let header = "reservation id";
        assert_eq!(ids, [vec![header, "1", "2"], vec![header, "3", "4"], vec![header, "5"]]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "temporary files have no name");
    }

    #[test]
    fn times_are_local_on_both_sides_of_a_clock_change() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = book(folder.path(), Tz::Europe__Berlin);
        for (id, start) in
            [(1, "2026-10-25 00:30:00.9+00"), (2, "2026-10-25 01:30:00+00"), (3, "2026-10-25 02:30:00+00")]
        {
            write(&mut book, id, "A", start);
        }
        let (_, rows) = read(book.finish(Vec::new()).unwrap()).remove(0);
        let times: Vec<_> = rows[1..].iter().map(|row| row[4].as_datetime().unwrap().to_string()).collect();
        assert_eq!(times, ["2026-10-25 02:30:00", "2026-10-25 02:30:00", "2026-10-25 03:30:00"]);
    }

    #[test]
    fn text_is_kept_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = book(folder.path(), Tz::UTC);
        let texts = ["=1+1", " <b> & \"q\"\n東京 \u{1F697} ", "{=1}", "1e5", "0042"];
        (0..).zip(texts).for_each(|(id, text)| write(&mut book, id, text, "2026-11-20 10:00:00+00"));
        let (_, rows) = read(book.finish(Vec::new()).unwrap()).remove(0);
        for (row, text) in rows[1..].iter().zip(texts) {
            assert_eq!(row[2], Data::String(text.into()));
        }
    }

    #[test]
    fn every_run_writes_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let content = || {
            let mut book = book(folder.path(), Tz::UTC);
            write(&mut book, 1, "A", "2026-11-20 10:00:00+00");
            book.finish(Vec::new()).unwrap()
        };
        let first = content();
        std::thread::sleep(std::time::Duration::from_millis(1_000));
        assert_eq!(content(), first);
    }

    #[test]
    fn stopped_workbook_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let file = PartFile::create(folder.path(), Uuid::new_v4(), FileFormat::Xlsx, stop.clone()).unwrap();
        let mut book = book(folder.path(), Tz::UTC);
        write(&mut book, 1, "A", "2026-11-20 10:00:00+00");
        stop.cancel();
        assert!(book.finish(file).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn full_disk_is_recognised_in_a_panic() {
        for (code, kind) in [(28, io::ErrorKind::StorageFull), (122, io::ErrorKind::QuotaExceeded)] {
            let failed = guarded::<()>(|| Err(XlsxError::IoError(io::Error::from_raw_os_error(code))));
            assert_eq!(failed.unwrap_err().kind(), kind);
            let write = || -> io::Result<()> { Err(io::Error::from_raw_os_error(code)) };
            let panicked = guarded(|| {
                write().expect("cannot write");
                Ok(())
            });
            assert_eq!(panicked.unwrap_err().kind(), kind);
        }
        let other = guarded::<()>(|| panic!("something else: StorageFull"));
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[test]
    fn amounts_have_the_decimals_of_the_currency() {
        assert_eq!(amount_format(Currency::INR), "[$INR] #,##0.00");
        assert_eq!(amount_format("JPY".parse().unwrap()), "[$JPY] #,##0");
        assert_eq!(amount_format("KWD".parse().unwrap()), "[$KWD] #,##0.000");
    }
}
