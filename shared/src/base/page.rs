//! Pages of long lists.

use std::str::FromStr;

/// The limit of lists that are requested without one.
pub const MAX_LIMIT: i64 = 10_000;

/// Which page of a list. `C` is what its rows are sorted by.
#[derive(Debug, Clone)]
pub struct Page<C = i64> {
    /// The maximum number of rows.
    pub limit: i64,
    /// The last row of the previous page, if there is one.
    pub after: Option<C>,
}

impl<C> Default for Page<C> {
    fn default() -> Self {
        Self { limit: MAX_LIMIT, after: None }
    }
}

/// The rows of a page.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Whether there are more rows.
    pub more: bool,
}

impl<C> Page<C> {
    /// How many rows to query: one more than the limit shows whether there are more.
    #[must_use]
    pub const fn fetch_limit(&self) -> i64 {
        self.limit + 1
    }

    /// The page from rows that were queried with [`Page::fetch_limit`].
    #[must_use]
    pub fn trim<T>(&self, mut rows: Vec<T>) -> Paged<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Paged { items: rows, more }
    }
}

impl<T> Paged<T> {
    /// The cursor of the next page, made from the last row; `None` on the last page.
    pub fn next<C>(&self, cursor: impl FnOnce(&T) -> C) -> Option<C> {
        self.items.last().filter(|_| self.more).map(cursor)
    }

    /// The same page with its rows converted.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(change).collect(), more: self.more }
    }
}

/// A position in a list that is sorted by an instant, the latest first, and by id where instants are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeCursor {
    /// The instant of the row.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The id of the row.
    pub id: i64,
}

impl std::fmt::Display for TimeCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.timestamp_micros(), self.id)
    }
}

impl FromStr for TimeCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let micros: i64 = micros.parse().map_err(|_| ())?;
        let at = chrono::DateTime::from_timestamp_micros(micros).ok_or(())?;
        let year = chrono::Datelike::year(&at);
        if !(1970..=9998).contains(&year) {
            return Err(());
        }
        Ok(Self { at, id: id.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_row_means_there_are_more() {
        let page: Page = Page { limit: 2, after: None };
        assert_eq!(page.fetch_limit(), 3);
        let (first, all) = (page.trim(vec![1, 2, 3]), page.trim(vec![1, 2]));
        assert_eq!((first.items, first.more), (vec![1, 2], true));
        assert_eq!((all.items, all.more), (vec![1, 2], false));
    }

    #[test]
    fn cursors_round_trip_and_invalid_ones_are_rejected() {
        let cursor = TimeCursor { at: "2026-11-20T12:00:00.000001Z".parse().unwrap(), id: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1.", ".1", "x.1", "1.x", "9223372036854775807.1", "-99999999999999999.1"] {
            assert_eq!(text.parse::<TimeCursor>(), Err(()), "{text}");
        }
    }
}
