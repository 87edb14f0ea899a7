//! Days of a calendar in iCalendar format (RFC 5545). Pure.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};

/// The longest event that counts as holidays.
const MAX_EVENT: u64 = 31;

/// The days of all events of a calendar.
///
/// # Errors
/// Why the text is not a calendar with single events.
pub fn days(text: &str) -> Result<BTreeSet<NaiveDate>, String> {
    // Long lines are folded: a line that begins with a blank continues the one before.
    let text = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let (mut days, mut event) = (BTreeSet::new(), None);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.split(';').next().unwrap_or_default().to_ascii_uppercase();
        match (name.as_str(), &mut event) {
            ("BEGIN", _) if value.trim() == "VEVENT" => event = Some(Event::default()),
            ("DTSTART", Some(event)) => event.first = Some(day(value)?),
            ("DTEND", Some(event)) => event.end = Some(day(value)?),
            ("RRULE" | "RDATE", Some(_)) => {
                return Err("must have no recurring events: export the calendar with single days".into());
            }
            ("END", _) if value.trim() == "VEVENT" => {
                days.extend(event.take().unwrap_or_default().days()?);
            }
            _ => {}
        }
    }
    if days.is_empty() {
        Err("must be a calendar in iCalendar format with at least one event".into())
    } else {
        Ok(days)
    }
}

#[derive(Default)]
struct Event {
    first: Option<NaiveDate>,
    /// The day after the last.
    end: Option<NaiveDate>,
}

impl Event {
    fn days(&self) -> Result<impl Iterator<Item = NaiveDate> + use<>, String> {
        let first = self.first.ok_or("must have a day (DTSTART) in each event")?;
        let length = self.end.map_or(1, |end| (end - first).num_days().max(1));
        let length = u64::try_from(length).unwrap_or(1);
        if length > MAX_EVENT {
            return Err(format!("must have no event of more than {MAX_EVENT} days, as on {first}"));
        }
        Ok((0..length).filter_map(move |day| first.checked_add_days(Days::new(day))))
    }
}

/// The day of `20261225` or `20261225T000000Z`.
fn day(value: &str) -> Result<NaiveDate, String> {
    let date = value.trim().get(..8).unwrap_or_default();
    NaiveDate::parse_from_str(date, "%Y%m%d")
        .map_err(|_| format!("must have days such as 20261225, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &str) -> Result<Vec<String>, String> {
        let text = format!("BEGIN:VCALENDAR\r\nDTSTART:19700101\r\n{events}END:VCALENDAR\r\n");
        days(&text).map(|days| days.iter().map(ToString::to_string).collect())
    }

    fn event(lines: &str) -> String {
        format!("BEGIN:VEVENT\r\nSUMMARY:A: B\r\n{lines}END:VEVENT\r\n")
    }

    #[test]
    fn days_of_events_are_read_from_a_calendar() {
        let christmas = event("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\n");
        let labour = event("DESCRIPTION:long\r\n  DTSTART:19990101\r\nDTSTART;VALUE=DA\r\n TE:20260501\r\n");
        let timed = event("DTSTART:20260103T000000Z\r\nDTEND:20260103T120000Z\r\n");
        let found = read(&(christmas + &labour + &timed));
        assert_eq!(found.unwrap(), ["2026-01-03", "2026-05-01", "2026-12-25", "2026-12-26"]);
    }

    #[test]
    fn calendars_that_say_something_else_are_refused() {
        for (events, why) in [
            (String::new(), "at least one event"),
            (event("DTSTART:2026\r\n"), "days such as 20261225"),
            (event("DTSTART:20260101\r\nRRULE:FREQ=YEARLY\r\n"), "recurring"),
            (event("DTSTART:20260101\r\nDTEND:20260301\r\n"), "more than 31 days"),
            (event(""), "DTSTART"),
        ] {
            let error = read(&events).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(days("\u{1F697}").is_err());
    }
}
