//! Cursors of lists: a parsed cursor is formatted as an equal one.

use shared::base::page::TimeCursor;

/// The input as a cursor in a query.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(moment) = text.parse::<TimeCursor>() {
        assert_eq!(moment.to_string().parse(), Ok(moment), "{text:?}");
    }
}
