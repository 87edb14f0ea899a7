//! Charges become the lines of a bill: caps are applied to each, and printed amounts are rounded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    bill::{BillLine, Rule},
    calendar::date,
    plan::{PARTS, Price, in_minor_units},
    tax::saturated,
    version::Version,
};

/// The local day and the block of 24 hours to which a charge belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// In days since 1970-01-01.
    pub(crate) day: i64,
    /// The first 24 hours are 0.
    pub(crate) block: i64,
}

/// Steps of one line, one after the other.
struct Run {
    line: usize,
    from: i64,
    until: i64,
    quantity: i64,
    parts: i128,
}

/// What a cap has taken off since it was printed last.
#[derive(Default)]
struct Relief {
    day: i128,
    block: i128,
    stay: i128,
}

/// A bill in the making. Amounts are in [`PARTS`] of a minor unit.
pub(crate) struct Statement<'a> {
    version: &'a Version,
    account: Option<Account>,
    /// The time of the account so far.
    from: i64,
    until: i64,
    run: Option<Run>,
    relief: Relief,
    charged_by_day: BTreeMap<i64, i128>,
    charged_in_block: i128,
    charged: i128,
    /// The exact sum of the printed lines, and the sum that is printed.
    exact: i128,
    printed: i128,
    lines: Vec<BillLine>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(version: &'a Version) -> Self {
        Self {
            version,
            account: None,
            from: 0,
            until: 0,
            run: None,
            relief: Relief::default(),
            charged_by_day: BTreeMap::new(),
            charged_in_block: 0,
            charged: 0,
            exact: 0,
            printed: 0,
            lines: Vec::new(),
        }
    }

    /// Charges `quantity` steps, or a flat amount once, for the time from `from` until `until`.
    pub(crate) fn charge(&mut self, account: Account, price: &Price, quantity: i64, from: i64, until: i64) {
        self.open(account, from);
        let parts = i128::from(quantity) * price.parts;
        self.apply_caps(account, parts);
        self.until = until;
        match &mut self.run {
            Some(run) if run.line == price.line && run.until == from => {
                run.until = until;
                run.quantity += quantity;
                run.parts += parts;
            }
            _ => {
                self.print_run();
                self.run = Some(Run { line: price.line, from, until, quantity, parts });
            }
        }
    }

    /// The flat line that was charged last stays in force until `until`.
    pub(crate) fn extend(&mut self, until: i64) {
        if let Some(run) = &mut self.run {
            run.until = until;
            self.until = until;
        }
    }

    /// Prints a line without a price.
    pub(crate) fn note(&mut self, rule: Rule, from: i64, until: i64) {
        self.print_account();
        let name = rule.name(self.version);
        self.print(rule, name, (from, until), 0, 0);
    }

    /// The printed lines.
    pub(crate) fn into_lines(mut self) -> Vec<BillLine> {
        self.print_account();
        self.lines
    }

    /// Prints what belongs to another day or block, if caps distinguish them.
    fn open(&mut self, account: Account, from: i64) {
        let caps = self.version.caps;
        let is_other = |last: Account| {
            (caps.per_day.is_some() && last.day != account.day)
                || (caps.per_24_hours.is_some() && last.block != account.block)
        };
        match self.account {
            Some(last) if is_other(last) => {
                self.print_account();
                if last.block != account.block {
                    self.charged_in_block = 0;
                }
            }
            Some(_) => return,
            None => {}
        }
        self.account = Some(account);
        self.from = from;
    }

    /// The smallest rest of a cap limits the charge. A run of steps is limited as one, which is the same as each step
    /// for itself: all rests shrink by the same amounts.
    fn apply_caps(&mut self, account: Account, parts: i128) {
        let caps = self.version.caps;
        let rest =
            |cap: Option<i64>, charged: i128| cap.map(|cap| (i128::from(cap) * PARTS - charged).max(0));
        let charged_today = self.charged_by_day.get(&account.day).copied().unwrap_or_default();
        let rests = [
            (rest(caps.per_day, charged_today), &mut self.relief.day),
            (rest(caps.per_24_hours, self.charged_in_block), &mut self.relief.block),
            (rest(caps.per_stay, self.charged), &mut self.relief.stay),
        ];
        let tightest = rests.into_iter().filter_map(|(rest, relief)| Some((rest?, relief)));
        let mut allowed = parts;
        if let Some((rest, relief)) = tightest.min_by_key(|(rest, _)| *rest) {
            allowed = parts.min(rest);
            *relief += parts - allowed;
        }
        if caps.per_day.is_some() {
            *self.charged_by_day.entry(account.day).or_default() += allowed;
        }
        self.charged_in_block += allowed;
        self.charged += allowed;
    }

    fn print_account(&mut self) {
        self.print_run();
        let Some(account) = self.account else { return };
        let relief = std::mem::take(&mut self.relief);
        let day = date(account.day).unwrap_or_default();
        let rules = [
            (Rule::DayCap { day }, relief.day),
            (Rule::BlockCap { number: account.block + 1 }, relief.block),
            (Rule::StayCap, relief.stay),
        ];
        for (rule, relief) in rules.into_iter().filter(|(_, relief)| *relief > 0) {
            let name = rule.name(self.version);
            self.print(rule, name, (self.from, self.until), 1, -relief);
        }
    }

    fn print_run(&mut self) {
        if let Some(Run { line, from, until, quantity, parts }) = self.run.take() {
            let rule = Rule::Line { number: line + 1 };
            let name = rule.name(self.version);
            self.print(rule, name, (from, until), quantity, parts);
        }
    }

    /// What rounding adds to a line or takes from it is carried to the next: the printed lines up to any one are the
    /// exact amount, rounded half up. So their sum is never more than a cap.
    fn print(&mut self, rule: Rule, name: String, (from, until): (i64, i64), quantity: i64, parts: i128) {
        self.exact += parts;
        let sum = in_minor_units(self.exact);
        let amount = saturated(sum - self.printed);
        self.printed = sum;
        let (from, until) = (instant(from), instant(until));
        self.lines.push(BillLine { rule, name, from, until, quantity, amount });
    }
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
