//! The CSV of an export: a header, and a record for each line that the database returns. Pure.

use std::{borrow::Cow, io::Write};

use chrono::NaiveDate;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, de::Visitor};
use sha2::Sha256;

use crate::{base::currency::Currency, parking::bookings::history::Encoding};

/// What the records contain.
#[derive(Debug, Clone)]
pub struct Format {
    /// The currency of the amounts, whose code has a column of its own.
    pub currency: Currency,
    /// Adds a last column with the user's name, for exports that cover all users.
    pub with_user: bool,
    /// Replaces users by hashes keyed with this secret, and leaves out plates and transaction ids.
    pub anonymise: Option<Vec<u8>>,
}

const HEADER: [&str; 13] = [
    "reservation id",
    "lot",
    "address",
    "spot",
    "start",
    "end",
    "duration in hours",
    "cost",
    "currency",
    "status",
    "payment method",
    "transaction id",
    "vehicle",
];

/// The cells of a line, in the order of `bookings::history`. NULL is an empty cell.
type Cells<'a> = [Cow<'a, [u8]>; 13];

/// Writes the header.
///
/// # Errors
/// If `out` fails.
pub fn write_header<W: Write>(out: &mut csv::Writer<W>, format: &Format) -> csv::Result<()> {
    HEADER.iter().chain(format.with_user.then_some(&"user")).try_for_each(|name| out.write_field(name))?;
    out.write_record(None::<&[u8]>)
}

/// Writes the record for one line.
///
/// # Errors
/// If `out` fails; `InvalidData` if the line is malformed.
pub fn write_line<W: Write>(
    out: &mut csv::Writer<W>,
    format: &Format,
    encoding: Encoding,
    line: &[u8],
) -> csv::Result<()> {
    let cells = match encoding {
        Encoding::Copy => split(line),
        Encoding::Json => {
            serde_json::from_slice::<[Cell<'_>; 13]>(line).ok().map(|cells| cells.map(|cell| cell.0))
        }
    };
    let [id, lot, address, spot, start, end, cost, status, method, transaction, vehicle, user_id, user] =
        cells.ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "malformed line from the database")
        })?;
    let (start, end) = (Timestamp::parse(&start), Timestamp::parse(&end));
    let identity = |cell| if format.anonymise.is_some() { Cow::Borrowed(&b""[..]) } else { safe(cell) };

    out.write_field(id)?;
    out.write_field(safe(lot))?;
    out.write_field(safe(address))?;
    out.write_field(spot)?;
    out.write_field(start.as_ref().map(Timestamp::rfc3339).unwrap_or_default())?;
    out.write_field(end.as_ref().map(Timestamp::rfc3339).unwrap_or_default())?;
    out.write_field(duration(start.as_ref(), end.as_ref()))?;
    out.write_field(major_units(&cost, format.currency.decimals() as usize))?;
    out.write_field(format.currency.code())?;
    out.write_field(status)?;
    out.write_field(safe(method))?;
    out.write_field(identity(transaction))?;
    out.write_field(identity(vehicle))?;
    if format.with_user {
        match &format.anonymise {
            Some(key) => out.write_field(pseudonym(key, &user_id))?,
            None => out.write_field(safe(user))?,
        }
    }
    out.write_record(None::<&[u8]>)
}

/// A cell of a JSON line: a string, an integer or null.
struct Cell<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyCell;

        impl<'de> Visitor<'de> for AnyCell {
            type Value = Cell<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, an integer or null")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Borrowed(b"")))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Borrowed(text.as_bytes())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Owned(text.as_bytes().to_vec())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Owned(number.to_string().into_bytes())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Cell(Cow::Owned(number.to_string().into_bytes())))
            }
        }

        deserializer.deserialize_any(AnyCell)
    }
}

/// The cells of a line in the COPY text format.
fn split(line: &[u8]) -> Option<Cells<'_>> {
    let mut cells = line.split(|byte| *byte == b'\t').map(unescape);
    let mut all: [Option<Cow<'_, [u8]>>; 13] = std::array::from_fn(|_| cells.next());
    if all.iter().any(Option::is_none) {
        return None;
    }
    Some(std::array::from_fn(|i| all[i].take().unwrap_or_default()))
}

/// Decodes a cell of the COPY text format: `\N` is NULL, other backslashes escape a control character or themselves.
fn unescape(cell: &[u8]) -> Cow<'_, [u8]> {
    if cell == b"\\N" {
        return Cow::Borrowed(b"");
    }
    if !cell.contains(&b'\\') {
        return Cow::Borrowed(cell);
    }
    let mut bytes = cell.iter();
    let mut plain = Vec::with_capacity(cell.len());
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, bytes.as_slice().first()) {
            (b'\\', Some(escaped)) => {
                bytes.next();
                match escaped {
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    b'v' => 11,
                    other => *other,
                }
            }
            _ => *byte,
        });
    }
    Cow::Owned(plain)
}

/// Puts an apostrophe before a cell that a spreadsheet would run as a formula, which makes it text.
fn safe(cell: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match cell.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => Cow::Owned([b"'", &*cell].concat()),
        _ => cell,
    }
}

/// A pseudonym that is stable across the exports of this installation and cannot be reversed without its secret.
fn pseudonym(key: &[u8], user_id: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(b"export user ");
    mac.update(user_id);
    hex::encode(&mac.finalize().into_bytes()[..8])
}

/// A time in UTC as either database writes it: `2026-11-20 18:37:55.5+00` or `2026-11-20T18:37:55.5+00:00`.
struct Timestamp<'a> {
    text: &'a [u8],
    seconds: i64,
}

impl<'a> Timestamp<'a> {
    fn parse(cell: &'a [u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            cell.get(range)?
                .iter()
                .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
        };
        let day = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
        let time = day.and_hms_opt(number(11..13)?, number(14..16)?, number(17..19)?)?;
        let end = cell.iter().skip(19).position(|byte| *byte == b'+').map_or(cell.len(), |at| at + 19);
        Some(Self { text: &cell[..end], seconds: time.and_utc().timestamp() })
    }

    fn rfc3339(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text.len() + 1);
        text.extend_from_slice(self.text);
        text[10] = b'T';
        text.push(b'Z');
        text
    }
}

/// Hours with two decimal places; empty while the stay has no end.
fn duration(start: Option<&Timestamp>, end: Option<&Timestamp>) -> String {
    let (Some(start), Some(end)) = (start, end) else { return String::new() };
    let hundredths = ((end.seconds - start.seconds).max(0) + 18) / 36;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Converts minor units to major units, without reading them as numbers: `2550` to `25.50`.
fn major_units(minor: &[u8], decimals: usize) -> Vec<u8> {
    let zeros = vec![b'0'; (decimals + 1).saturating_sub(minor.len())];
    let padded = [&zeros, minor].concat();
    let (major, fraction) = padded.split_at(padded.len() - decimals);
    if decimals == 0 { padded } else { [major, b".", fraction].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &Format, line: &str) -> String {
        let encoding = if line.starts_with('[') { Encoding::Json } else { Encoding::Copy };
        let mut out = csv::Writer::from_writer(Vec::new());
        write_line(&mut out, format, encoding, line.as_bytes()).unwrap();
        String::from_utf8(out.into_inner().unwrap()).unwrap()
    }

    fn format() -> Format {
        Format { currency: Currency::INR, with_user: false, anonymise: None }
    }

    const POSTGRES: &str = "7\tMain St\t1, Main St\t12\t2026-11-20 10:00:00.5+00\t2026-11-20 12:30:00+00\t7500\tcompleted\tUPI\tTXN1\tMH12AB1234\t3\tAsha";
    const SQLITE: &str = r#"[7,"Main St","1, Main St",12,"2026-11-20T10:00:00.500+00:00","2026-11-20T12:30:00+00:00",7500,"completed","UPI","TXN1","MH12AB1234",3,"Asha"]"#;

    #[test]
    fn both_databases_produce_the_same_record() {
        let expected = "7,Main St,\"1, Main St\",12,2026-11-20T10:00:00.5Z,2026-11-20T12:30:00Z,2.50,75.00,INR,completed,UPI,TXN1,MH12AB1234\n";
        assert_eq!(written(&format(), POSTGRES), expected);
        assert_eq!(written(&format(), SQLITE), expected.replace("00.5Z", "00.500Z"));
    }

    #[test]
    fn active_stay_has_neither_end_nor_duration() {
        let line = "7\tL\tA\t1\t2026-11-20 10:00:00+00\t\\N\t0\tactive\t\\N\t\\N\t\\N\t3\tAsha";
        let json = r#"[7,"L","A",1,"2026-11-20T10:00:00+00:00",null,0,"active",null,null,null,3,"Asha"]"#;
        for line in [line, json] {
            assert_eq!(written(&format(), line), "7,L,A,1,2026-11-20T10:00:00Z,,,0.00,INR,active,,,\n");
        }
    }

    #[test]
    fn formulas_become_text() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\\tx", "\\rx", "\\nx"] {
            let line = format!("7\t{bad}\tA\t1\t\\N\t\\N\t5\tactive\t\\N\t{bad}\t\\N\t3\tAsha");
            let record = written(&format(), &line);
            let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            let cells = cells.records().next().unwrap().unwrap();
            for cell in [&cells[1], &cells[11]] {
                assert!(cell.starts_with('\''), "{cell:?}");
            }
        }
    }

    #[test]
    fn text_survives_both_encodings() {
        let copy = "7\ta\\\\b\\tc\\nd \"q\" ünï 東京\tA\t1\t\\N\t\\N\t5\tactive\t\\N\t\\N\t\\N\t3\tAsha";
        let json = r#"[7,"a\\b\tc\nd \"q\" ünï 東京","A",1,null,null,5,"active",null,null,null,3,"Asha"]"#;
        for line in [copy, json] {
            let record = written(&format(), line);
            let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
            assert_eq!(&cells.records().next().unwrap().unwrap()[1], "a\\b\tc\nd \"q\" ünï 東京");
        }
    }

    #[test]
    fn anonymised_rows_identify_nobody() {
        let format = Format { with_user: true, anonymise: Some(b"key".to_vec()), ..format() };
        let record = written(&format, POSTGRES);
        for identity in ["TXN1", "MH12AB1234", "Asha"] {
            assert!(!record.contains(identity), "{identity} in {record}");
        }
        assert_eq!(record, written(&format, POSTGRES), "the hash is stable");
        let other = Format { anonymise: Some(b"other key".to_vec()), ..format };
        assert_ne!(record, written(&other, POSTGRES), "the hash is keyed");
    }

    #[test]
    fn minor_units_become_major_units() {
        for (minor, decimals, major) in [
            ("0", 2, "0.00"),
            ("5", 2, "0.05"),
            ("50", 2, "0.50"),
            ("2550", 2, "25.50"),
            ("0", 0, "0"),
            ("2550", 0, "2550"),
            ("5", 3, "0.005"),
            ("2550", 3, "2.550"),
            ("12345", 4, "1.2345"),
        ] {
            assert_eq!(String::from_utf8(major_units(minor.as_bytes(), decimals)).unwrap(), major);
        }
    }
}
