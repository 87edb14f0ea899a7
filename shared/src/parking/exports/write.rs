//! The thread that writes the file of an export in its format.

use std::io;

use tokio::sync::mpsc;

use super::{
    csv::CsvFile,
    file::{Facts, PartFile},
    line::Line,
    record::Layout,
    xlsx::XlsxFile,
};
use crate::{
    app::App,
    jobs::Progress,
    parking::bookings::history::Encoding,
    platform::entities::export::{self, Format},
};

/// Writes the lines that it receives.
pub(super) struct Writer {
    pub(super) output: Output,
    pub(super) encoding: Encoding,
    pub(super) progress: Progress,
}

/// A complete file under its temporary name.
pub(super) struct Written {
    pub(super) file: PartFile,
    pub(super) facts: Facts,
    pub(super) rows: i64,
}

impl Writer {
    /// Writes batches of lines until their sender is dropped, and completes the file.
    pub(super) fn write(mut self, mut batches: mpsc::Receiver<Vec<u8>>) -> io::Result<Written> {
        let mut rows = 0_i64;
        while let Some(batch) = batches.blocking_recv() {
            for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line = Line::parse(self.encoding, line).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "malformed line from the database")
                })?;
                self.output.write(&line)?;
                rows += 1;
            }
            self.progress.set(rows, self.progress.get().1.max(rows));
        }
        let file = self.output.finish()?;
        let facts = file.sync()?;
        Ok(Written { file, facts, rows })
    }
}

/// A file in one of the formats.
pub(super) enum Output {
    Csv(Box<CsvFile<PartFile>>),
    Xlsx(Box<XlsxFile>, PartFile),
}

impl Output {
    /// Writes what comes before the first row.
    pub(super) fn create(
        app: &App,
        export: &export::Model,
        layout: Layout,
        file: PartFile,
    ) -> io::Result<Self> {
        let config = &app.config;
        Ok(match export.format {
            Format::Csv => Self::Csv(Box::new(CsvFile::create(file, layout, export.bom)?)),
            Format::Xlsx => {
                let book = XlsxFile::create(&config.upload_folder, layout, config.zone, export.created_at)?;
                Self::Xlsx(Box::new(book), file)
            }
            Format::Zip => return Err(io::Error::other("an archive has more than reservations")),
        })
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        match self {
            Self::Csv(file) => file.write(line),
            Self::Xlsx(book, _) => book.write(line),
        }
    }

    fn finish(self) -> io::Result<PartFile> {
        match self {
            Self::Csv(file) => file.finish(),
            Self::Xlsx(book, file) => book.finish(file),
        }
    }
}
