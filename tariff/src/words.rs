//! A version in plain words.

use chrono::Weekday;

use crate::{
    local_time::Window,
    tax::percent,
    version::{Charge, Elapsed, Line, Version, WEEK},
};

impl Version {
    /// One sentence for each rule, in the order in which they apply. `money` writes an amount in minor units.
    #[must_use]
    pub fn in_words(&self, money: impl Fn(i64) -> String) -> Vec<String> {
        let free = (self.free_minutes > 0)
            .then(|| format!("A stay of up to {} costs nothing", duration(self.free_minutes)));
        let grace = (self.exit_grace_minutes > 0).then(|| {
            format!("What would begin in the last {} is not charged", duration(self.exit_grace_minutes))
        });
        let caps = [
            (self.caps.per_day, "a day"),
            (self.caps.per_24_hours, "in 24 hours"),
            (self.caps.per_stay, "for a stay"),
        ];
        let caps = caps.into_iter().filter_map(|(cap, what)| Some(format!("At most {} {what}", money(cap?))));
        let taxes = self.tax.rates.iter().map(|rate| {
            let how = if self.tax.included { "included" } else { "added" };
            format!("{} of {} % is {how}", rate.name, percent(rate.per_hundred_thousand))
        });
        let lines = self.lines.iter().map(|line| line_in_words(line, &money));
        free.into_iter().chain(lines).chain(grace).chain(caps).chain(taxes).collect()
    }
}

fn line_in_words(line: &Line, money: &impl Fn(i64) -> String) -> String {
    let amount = money(line.amount);
    let price = match line.charge {
        Charge::Step { minutes, per_minutes: None } => {
            format!("{amount} for every {} started", duration_without_one(minutes))
        }
        Charge::Step { minutes, per_minutes: Some(per) } => {
            let (per, step) = (duration_without_one(per), duration_without_one(minutes));
            format!("{amount} for every {per}, charged by the {step}")
        }
        Charge::Flat => format!("{amount} once"),
        Charge::LostTicket => format!("{amount} if the ticket is lost"),
    };
    let when = [days(line), line.window.map(window), line.elapsed.and_then(elapsed)];
    let when: String = when.into_iter().flatten().map(|part| format!(", {part}")).collect();
    format!("{}: {price}{when}", line.name)
}

fn days(line: &Line) -> Option<String> {
    let days: Vec<String> =
        WEEK.iter().filter(|day| line.weekdays.contains(day)).map(Weekday::to_string).collect();
    match (days.len(), line.holidays) {
        (7, true) => None,
        (7, false) => Some("except on holidays".to_owned()),
        (0, _) => Some("on holidays".to_owned()),
        (_, true) => Some(format!("on {} and holidays", days.join(", "))),
        (_, false) => Some(format!("on {} except holidays", days.join(", "))),
    }
}

fn window(Window { from, to }: Window) -> String {
    format!("{from} to {to}")
}

fn elapsed(Elapsed { from, to }: Elapsed) -> Option<String> {
    match (from, to) {
        (0, None) => None,
        (0, Some(to)) => Some(format!("in the first {}", duration_without_one(to))),
        (from, None) => Some(format!("after {}", duration(from))),
        (from, Some(to)) => Some(format!("after {} until {}", duration(from), duration(to))),
    }
}

/// `1 hour`, `90 minutes`, `2 days`.
fn duration(minutes: u32) -> String {
    let (count, unit) = match minutes {
        0 => (0, "minute"),
        minutes if minutes.is_multiple_of(24 * 60) => (minutes / (24 * 60), "day"),
        minutes if minutes.is_multiple_of(60) => (minutes / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// As [`duration`], but `hour` instead of `1 hour`.
fn duration_without_one(minutes: u32) -> String {
    let text = duration(minutes);
    text.strip_prefix("1 ").map(ToOwned::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_sentence() {
        let json = r#"{
            "currency": "EUR", "free_minutes": 15, "exit_grace_minutes": 10,
            "lines": [
                {"name": "Night", "weekdays": ["Fri", "Sat"], "holidays": false, "window": {"from": "22:00", "to": "06:00"},
                    "amount": 500, "charge": {"kind": "flat"}},
                {"name": "Holiday", "weekdays": [], "amount": 100, "charge": {"kind": "step", "minutes": 60}},
                {"name": "Short", "elapsed": {"to": 120}, "amount": 100, "charge": {"kind": "step", "minutes": 20}},
                {"name": "Middle", "elapsed": {"from": 120, "to": 1440}, "holidays": false, "amount": 90,
                    "charge": {"kind": "step", "minutes": 1440}},
                {"name": "Long", "elapsed": {"from": 1440}, "amount": 80, "weekdays": ["Mon"],
                    "charge": {"kind": "step", "minutes": 60}},
                {"name": "Day", "amount": 400, "charge": {"kind": "step", "minutes": 1, "per_minutes": 60}},
                {"name": "Lost ticket", "amount": 4000, "charge": {"kind": "lost_ticket"}}
            ],
            "caps": {"per_day": 3000, "per_24_hours": 2500, "per_stay": 9000},
            "tax": {"included": true, "rates": [{"name": "VAT", "per_hundred_thousand": 19000}]}
        }"#;
        let version: Version = serde_json::from_str(json).unwrap();
        assert_eq!(version.validate(), Ok(()));
        assert_eq!(
            version.in_words(|minor| format!("{minor}c")),
            [
                "A stay of up to 15 minutes costs nothing",
                "Night: 500c once, on Fri, Sat except holidays, 22:00 to 06:00",
                "Holiday: 100c for every hour started, on holidays",
                "Short: 100c for every 20 minutes started, in the first 2 hours",
                "Middle: 90c for every day started, except on holidays, after 2 hours until 1 day",
                "Long: 80c for every hour started, on Mon and holidays, after 1 day",
                "Day: 400c for every hour, charged by the minute",
                "Lost ticket: 4000c if the ticket is lost",
                "What would begin in the last 10 minutes is not charged",
                "At most 3000c a day",
                "At most 2500c in 24 hours",
                "At most 9000c for a stay",
                "VAT of 19 % is included",
            ]
        );
    }
}
