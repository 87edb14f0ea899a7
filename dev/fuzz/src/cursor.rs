//! Cursors of lists: whatever is read is written as the same place again.

use shared::base::page::Moment;

/// A cursor as it comes in a query.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(moment) = text.parse::<Moment>() {
        assert_eq!(moment.to_string().parse(), Ok(moment), "{text:?}");
    }
}
