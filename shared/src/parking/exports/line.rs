//! Decodes the lines that the database returns for an export. Pure.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, de::Visitor};

use crate::{base::money::Money, parking::bookings::history::Encoding};

/// The cells of a line, in the order of `bookings::history`. NULL is an empty cell.
type Cells<'a> = [Cow<'a, [u8]>; 13];

/// A reservation as the database wrote it. Text that is missing is empty.
#[derive(Debug)]
pub struct Line<'a> {
    pub(super) id: Cow<'a, [u8]>,
    pub(super) lot: Cow<'a, [u8]>,
    pub(super) address: Cow<'a, [u8]>,
    pub(super) spot: i64,
    pub(super) start: Cow<'a, [u8]>,
    pub(super) end: Cow<'a, [u8]>,
    pub(super) cost: Money,
    pub(super) status: Cow<'a, [u8]>,
    pub(super) method: Cow<'a, [u8]>,
    pub(super) transaction: Cow<'a, [u8]>,
    pub(super) vehicle: Cow<'a, [u8]>,
    pub(super) user_id: Cow<'a, [u8]>,
    pub(super) user: Cow<'a, [u8]>,
}

impl<'a> Line<'a> {
    /// Decodes a line; `None` if it is malformed.
    #[must_use]
    pub fn parse(encoding: Encoding, line: &'a [u8]) -> Option<Self> {
        let cells = match encoding {
            Encoding::Copy => split(line)?,
            Encoding::Json => serde_json::from_slice::<[Cell<'_>; 13]>(line).ok()?.map(|cell| cell.0),
        };
        let [id, lot, address, spot, start, end, cost, status, method, transaction, vehicle, user_id, user] =
            cells;
        Some(Self {
            spot: integer(&spot)?,
            cost: Money::from_minor(integer(&cost)?),
            id,
            lot,
            address,
            start,
            end,
            status,
            method,
            transaction,
            vehicle,
            user_id,
            user,
        })
    }
}

fn integer(cell: &[u8]) -> Option<i64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
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

/// A time in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp<'a> {
    /// The digits as the database wrote them, without zeros at the end of the fraction.
    text: &'a [u8],
    /// Since 1970, without the fraction.
    pub(super) seconds: i64,
}

impl<'a> Timestamp<'a> {
    /// Decodes either database's form, `2026-11-20 18:37:55.5+00` or `2026-11-20T18:37:55.500+00:00`.
    pub(super) fn parse(cell: &'a [u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            cell.get(range)?
                .iter()
                .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
        };
        let day = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
        let time = day.and_hms_opt(number(11..13)?, number(14..16)?, number(17..19)?)?;
        let end = cell.iter().skip(19).position(|byte| *byte == b'+').map_or(cell.len(), |at| at + 19);
        let mut text = &cell[..end];
        while text.len() > 19 && matches!(text.last(), Some(b'0' | b'.')) {
            text = &text[..text.len() - 1];
        }
        Some(Self { text, seconds: time.and_utc().timestamp() })
    }

    /// RFC 3339. The fraction has as many digits as it needs, so that both databases give the same text.
    pub(super) fn rfc3339(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text.len() + 1);
        text.extend_from_slice(self.text);
        text[10] = b'T';
        text.push(b'Z');
        text
    }
}
