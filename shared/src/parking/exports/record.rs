//! What the records of an export contain, whatever the format of the file. Pure.

use std::borrow::Cow;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::line::{Line, Timestamp};
use crate::base::{currency::Currency, money::Money};

/// What the records contain.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The currency of the amounts, whose code has a column of its own.
    pub currency: Currency,
    /// Adds a last column with the user's name, for exports that cover all users.
    pub with_user: bool,
    /// Replaces users by hashes keyed with this secret, and leaves out plates and transaction ids.
    pub anonymise: Option<Vec<u8>>,
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Text,
    Number,
    Time,
    Hours,
    Amount,
}

/// A cell.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, [u8]>),
    Number(i64),
    Time(Timestamp<'a>),
    /// In hundredths.
    Hours(i64),
    Amount(Money),
    Empty,
}

const COLUMNS: [(&str, Kind); 14] = [
    ("reservation id", Kind::Text),
    ("lot", Kind::Text),
    ("address", Kind::Text),
    ("spot", Kind::Number),
    ("start", Kind::Time),
    ("end", Kind::Time),
    ("duration in hours", Kind::Hours),
    ("cost", Kind::Amount),
    ("currency", Kind::Text),
    ("status", Kind::Text),
    ("payment method", Kind::Text),
    ("transaction id", Kind::Text),
    ("vehicle", Kind::Text),
    ("user", Kind::Text),
];

impl Layout {
    /// The names and kinds of the columns.
    pub(super) fn columns(&self) -> &'static [(&'static str, Kind)] {
        if self.with_user { &COLUMNS } else { &COLUMNS[..COLUMNS.len() - 1] }
    }

    /// The cells of a record, one for each column.
    pub(super) fn cells<'a>(&'a self, line: &'a Line<'a>) -> impl Iterator<Item = Cell<'a>> {
        let (start, end) = (Timestamp::parse(&line.start), Timestamp::parse(&line.end));
        let text = |text: &'a [u8]| Cell::Text(Cow::Borrowed(text));
        let identity = |text: &'a [u8]| if self.anonymise.is_some() { b"" } else { text };
        let user = match &self.anonymise {
            Some(key) if self.with_user => Cow::Owned(pseudonym(key, &line.user_id)),
            _ => Cow::Borrowed(&*line.user),
        };
        let cells = [
            text(&line.id),
            text(&line.lot),
            text(&line.address),
            Cell::Number(line.spot),
            start.map_or(Cell::Empty, Cell::Time),
            end.map_or(Cell::Empty, Cell::Time),
            start.zip(end).map_or(Cell::Empty, |(start, end)| Cell::Hours(hours(start, end))),
            Cell::Amount(line.cost),
            text(self.currency.code().as_bytes()),
            text(&line.status),
            text(&line.method),
            text(identity(&line.transaction)),
            text(identity(&line.vehicle)),
            Cell::Text(user),
        ];
        cells.into_iter().take(self.columns().len())
    }
}

/// The length of a stay in hundredths of an hour, rounded.
fn hours(start: Timestamp<'_>, end: Timestamp<'_>) -> i64 {
    ((end.seconds - start.seconds).max(0) + 18) / 36
}

/// A pseudonym that is stable across the exports of this installation and cannot be reversed without its secret.
fn pseudonym(key: &[u8], user_id: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(b"export user ");
    mac.update(user_id);
    hex::encode(&mac.finalize().into_bytes()[..8]).into_bytes()
}
