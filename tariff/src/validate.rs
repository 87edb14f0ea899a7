//! What is wrong with a version, and what to do about it.

use crate::{
    local_time::LocalTime,
    plan::PARTS,
    tax::Tax,
    version::{Caps, Charge, Elapsed, Line, Version},
};

const MAX_LINES: usize = 50;
const MAX_RATES: usize = 5;
const MAX_NAME: usize = 100;
/// A year.
const MAX_MINUTES: u32 = 366 * 24 * 60;
const MAX_GRACE: u32 = 24 * 60;
/// What the largest price elsewhere has in a currency with four decimal places.
const MAX_AMOUNT: i64 = 100_000_000_000_000;
const WHOLE: u64 = 100_000;

/// Something that is wrong with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What to do about it.
    pub message: String,
}

impl Version {
    /// Checks everything that types do not say.
    ///
    /// # Errors
    /// All problems, in the order of the version.
    pub fn validate(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems(Vec::new());
        let is_code = self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        problems.unless(is_code, "/currency", "must be a code of ISO 4217, such as EUR");
        for (pointer, minutes) in
            [("/free_minutes", self.free_minutes), ("/exit_grace_minutes", self.exit_grace_minutes)]
        {
            problems.unless(minutes <= MAX_GRACE, pointer, "must be at most 1440 minutes, which are a day");
        }
        self.check_lines(&mut problems);
        check_caps(self.caps, &mut problems);
        check_tax(&self.tax, &mut problems);
        if problems.0.is_empty() { Ok(()) } else { Err(problems.0) }
    }

    fn check_lines(&self, problems: &mut Problems) {
        problems.unless(self.lines.len() <= MAX_LINES, "/lines", "must be at most 50 lines");
        for (index, line) in self.lines.iter().enumerate().take(MAX_LINES) {
            check_line(line, &format!("/lines/{index}"), problems);
        }
        let is_of_stays = |line: &&Line| line.charge != Charge::LostTicket;
        match self.lines.iter().rfind(is_of_stays) {
            None => problems.add("/lines", "must have a line that applies always: add one with a price"),
            Some(last) => problems.unless(
                applies_always(last),
                "/lines",
                "must end with a line that applies always: add one with all weekdays and holidays, without window \
                 and elapsed time",
            ),
        }
    }
}

fn applies_always(line: &Line) -> bool {
    let has_all = crate::version::WEEK.iter().all(|day| line.weekdays.contains(day));
    has_all && line.holidays && line.window.is_none() && line.elapsed.is_none()
}

fn check_line(line: &Line, at: &str, problems: &mut Problems) {
    check_name(&line.name, at, problems);
    problems.unless(
        !line.weekdays.is_empty() || line.holidays,
        &format!("{at}/weekdays"),
        "must name a day if the line does not apply on holidays: add one, or remove the line",
    );
    check_amount(line.amount, &format!("{at}/amount"), problems);
    if let Some(window) = line.window {
        let at = format!("{at}/window");
        problems.unless(window.from != LocalTime::END_OF_DAY, &at, "must begin before 24:00: write 00:00");
        problems.unless(window.from != window.to, &at, "must not be empty: leave it out for the whole day");
        let is_written_plainly = window.to != LocalTime::MIDNIGHT;
        problems.unless(is_written_plainly, &at, "must end after 00:00: write 24:00 for the end of the day");
    }
    if let Some(Elapsed { from, to }) = line.elapsed {
        let at = format!("{at}/elapsed");
        problems.unless(to.is_none_or(|to| from < to), &at, "must end after it begins: exchange from and to");
        problems.unless(
            from.max(to.unwrap_or(0)) <= MAX_MINUTES,
            &at,
            "must be within 527040 minutes, a year",
        );
        let is_of_stays = line.charge != Charge::LostTicket;
        problems.unless(
            is_of_stays,
            &at,
            "must be left out for lost tickets: nobody knows how long they stayed",
        );
    }
    if let Charge::Step { minutes, per_minutes } = line.charge {
        let is_length = (1..=MAX_MINUTES).contains(&minutes);
        let at = format!("{at}/charge");
        problems.unless(is_length, &format!("{at}/minutes"), "must be from 1 to 527040 minutes, a year");
        let divides_a_day = |per: u32| per > 0 && PARTS % i128::from(per) == 0;
        problems.unless(
            per_minutes.is_none_or(divides_a_day),
            &format!("{at}/per_minutes"),
            "must be a divisor of 1440 minutes, such as 60 for a price for each hour",
        );
    }
}

fn check_caps(caps: Caps, problems: &mut Problems) {
    let caps = [
        ("/caps/per_day", caps.per_day),
        ("/caps/per_24_hours", caps.per_24_hours),
        ("/caps/per_stay", caps.per_stay),
    ];
    for (at, cap) in caps {
        let Some(cap) = cap else { continue };
        problems.unless(cap != 0, at, "must be more than 0: leave it out if there is no maximum");
        check_amount(cap, at, problems);
    }
}

fn check_tax(tax: &Tax, problems: &mut Problems) {
    problems.unless(tax.rates.len() <= MAX_RATES, "/tax/rates", "must be at most 5 rates");
    for (index, rate) in tax.rates.iter().enumerate() {
        check_name(&rate.name, &format!("/tax/rates/{index}"), problems);
    }
    let sum: u64 = tax.rates.iter().map(|rate| u64::from(rate.per_hundred_thousand)).sum();
    problems.unless(sum <= WHOLE, "/tax/rates", "must be at most 100 % together: 19 % are 19000");
}

fn check_amount(amount: i64, at: &str, problems: &mut Problems) {
    problems.unless(
        (0..=MAX_AMOUNT).contains(&amount),
        at,
        "must be from 0 to 100000000000000 in the minor unit of the currency",
    );
}

fn check_name(name: &str, at: &str, problems: &mut Problems) {
    let is_name = !name.trim().is_empty() && name.chars().count() <= MAX_NAME;
    problems.unless(is_name, &format!("{at}/name"), "must have 1 to 100 characters: bills show it");
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, pointer: &str, message: &str) {
        self.0.push(Problem { pointer: pointer.to_owned(), message: message.to_owned() });
    }

    fn unless(&mut self, is_right: bool, pointer: &str, message: &str) {
        if !is_right {
            self.add(pointer, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{local_time::Window, tax::TaxRate};

    /// The pointers of the problems after a change to a correct version.
    fn problems(change: impl FnOnce(&mut Version)) -> Vec<String> {
        let mut version = Version::hourly("EUR", 250);
        version.lines.insert(0, Line::always("Night", 500, Charge::Flat));
        change(&mut version);
        let problems = version.validate().err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.pointer).collect()
    }

    fn window(from: &str, to: &str) -> Option<Window> {
        Some(Window { from: from.parse().unwrap(), to: to.parse().unwrap() })
    }

    fn rate(per_hundred_thousand: u32) -> TaxRate {
        TaxRate { name: "VAT".into(), per_hundred_thousand }
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn correct_versions_have_no_problems() {
        assert_eq!(problems(|_| {}), NONE);
        assert_eq!(problems(|version| version.lines[0].window = window("22:00", "06:00")), NONE);
        assert_eq!(problems(|version| version.lines[0].window = window("18:00", "24:00")), NONE);
        assert_eq!(problems(|version| version.lines[0].elapsed = Some(Elapsed { from: 60, to: None })), NONE);
        assert_eq!(problems(|version| version.lines[0].weekdays.clear()), NONE);
        assert_eq!(problems(|version| version.lines[0].amount = 0), NONE);
        assert_eq!(problems(|version| version.lines.push(Line::always("Lost", 1, Charge::LostTicket))), NONE);
        assert_eq!(problems(|version| version.tax.rates = vec![rate(50_000), rate(50_000)]), NONE);
    }

    #[test]
    fn problems_are_named_by_their_place() {
        assert_eq!(problems(|version| version.currency = "euro".into()), ["/currency"]);
        assert_eq!(problems(|version| version.free_minutes = 1441), ["/free_minutes"]);
        assert_eq!(problems(|version| version.exit_grace_minutes = 1441), ["/exit_grace_minutes"]);
        assert_eq!(problems(|version| version.lines.clear()), ["/lines"]);
        assert_eq!(problems(|version| version.lines = vec![version.lines[0].clone(); 51]), ["/lines"]);
        assert_eq!(problems(|version| version.caps.per_day = Some(0)), ["/caps/per_day"]);
        assert_eq!(problems(|version| version.caps.per_24_hours = Some(-1)), ["/caps/per_24_hours"]);
        assert_eq!(problems(|version| version.caps.per_stay = Some(i64::MAX)), ["/caps/per_stay"]);
        assert_eq!(problems(|version| version.tax.rates = vec![rate(60_000), rate(40_001)]), ["/tax/rates"]);
        assert_eq!(problems(|version| version.tax.rates = vec![rate(1); 6]), ["/tax/rates"]);
    }

    #[test]
    fn problems_of_lines_are_named_by_their_place() {
        let of_line = |change: fn(&mut Line)| problems(|version| change(&mut version.lines[0]));
        assert_eq!(of_line(|line| line.name = " ".into()), ["/lines/0/name"]);
        assert_eq!(of_line(|line| line.name = "é".repeat(101)), ["/lines/0/name"]);
        assert_eq!(of_line(|line| line.amount = -1), ["/lines/0/amount"]);
        assert_eq!(of_line(|line| line.amount = 100_000_000_000_001), ["/lines/0/amount"]);
        assert_eq!(of_line(|line| line.window = window("08:00", "08:00")), ["/lines/0/window"]);
        assert_eq!(of_line(|line| line.window = window("24:00", "08:00")), ["/lines/0/window"]);
        assert_eq!(of_line(|line| line.window = window("18:00", "00:00")), ["/lines/0/window"]);
        let range = |from, to| Some(Elapsed { from, to });
        assert_eq!(problems(|version| version.lines[0].elapsed = range(60, Some(60))), ["/lines/0/elapsed"]);
        assert_eq!(problems(|version| version.lines[0].elapsed = range(527_041, None)), ["/lines/0/elapsed"]);
        assert_eq!(of_line(|line| line.charge = Charge::every(0)), ["/lines/0/charge/minutes"]);
        assert_eq!(of_line(|line| line.charge = Charge::every(527_041)), ["/lines/0/charge/minutes"]);
        for per in [0, 7, 1441] {
            let charge = Charge::Step { minutes: 1, per_minutes: Some(per) };
            assert_eq!(problems(|version| version.lines[0].charge = charge), ["/lines/0/charge/per_minutes"]);
        }
        let never = |line: &mut Line| (line.weekdays, line.holidays) = (Vec::new(), false);
        assert_eq!(of_line(never), ["/lines/0/weekdays"]);
    }

    #[test]
    fn the_last_line_must_apply_always() {
        let last = |change: fn(&mut Line)| problems(|version| change(&mut version.lines[1]));
        assert_eq!(last(|line| line.window = window("08:00", "20:00")), ["/lines"]);
        assert_eq!(last(|line| line.elapsed = Some(Elapsed { from: 0, to: None })), ["/lines"]);
        assert_eq!(last(|line| line.holidays = false), ["/lines"]);
        assert_eq!(last(|line| line.weekdays.truncate(6)), ["/lines"]);
        assert_eq!(last(|line| line.charge = Charge::LostTicket), NONE); // the flat line before it applies always
    }

    #[test]
    fn messages_say_what_to_do() {
        let mut version = Version::hourly("EUR", 250);
        version.lines[0].weekdays.clear();
        let problems = version.validate().unwrap_err();
        assert!(problems[0].message.contains("add one with all weekdays"), "{problems:?}");
    }
}
