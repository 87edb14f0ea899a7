//! Tests of what mails say, and of every way in which sending them can end.

mod delivery;
mod samples;
