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
use crate::base::money::Money;

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
                Cell::Amount(amount) => sheet.write_number(self.row, column, amount.major())?,
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
            describe(sheet, column, *kind, &self.layout.currency)?;
            sheet.write_string_with_format(0, column, *name, &bold)?;
        }
        self.row = 1;
        Ok(())
    }
}

/// Sets width and number format of a column.
fn describe(sheet: &mut Worksheet, column: u16, kind: Kind, currency: &str) -> Result<(), XlsxError> {
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
fn amount_format(currency: &str) -> String {
    let one = Money::from_minor(0).to_string();
    let decimals = one.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let point = if decimals == 0 { "" } else { "." };
    format!("[${currency}] #,##0{point}{}", "0".repeat(decimals))
}

#[expect(clippy::cast_precision_loss, reason = "ids of spots and hours are far below 2^53")]
fn float(number: i64) -> f64 {
    number as f64
}

/// Turns panics into errors: the writer panics if it cannot write its temporary file.
fn guarded<T>(work: impl FnOnce() -> Result<T, XlsxError>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(XlsxError::IoError(panic_error(&*panic)))).map_err(io_error)
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
