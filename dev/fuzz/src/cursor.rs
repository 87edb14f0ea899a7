//! Cursors of lists: whatever is read is written as the same place again.

use shared::base::page::TimeCursor;

/// A cursor as it comes in a query.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(moment) = text.parse::<TimeCursor>() {
        assert_eq!(moment.to_string().parse(), Ok(moment), "{text:?}");
    }
}
