//! Readers of JSON fields, for `#[serde(deserialize_with = "…")]`: numbers as clients send them, and fields that may be missing
//! but not null.

use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};

/// An integer. JSON does not distinguish `1` from `1.0`.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Integer { or_text: false })
}

/// An integer or null; with `#[serde(default)]` it may be missing, too.
pub(crate) fn optional_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Present(#[serde(deserialize_with = "integer")] i64);
    Ok(Option::<Present>::deserialize(deserializer)?.map(|present| present.0))
}

/// An integer, or text that holds one: forms of the old client send either.
pub(crate) fn integer_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Integer { or_text: true })
}

/// An integer, text that holds one, or null; with `#[serde(default)]` it may be missing, too.
pub(crate) fn optional_integer_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Present(#[serde(deserialize_with = "integer_or_text")] i64);
    Ok(Option::<Present>::deserialize(deserializer)?.map(|present| present.0))
}

struct Integer {
    or_text: bool,
}

impl Visitor<'_> for Integer {
    type Value = i64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        let is_whole = number.fract() == 0.0 && number.abs() < 9.2e18;
        is_whole.then_some(number as i64).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        let number = text.trim().parse().ok().filter(|_| self.or_text);
        number.ok_or_else(|| E::invalid_type(Unexpected::Str(text), &self))
    }
}

/// Text, or a whole number that is meant as text, such as a postal code.
pub(crate) fn text_or_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Text)
}

/// [`text_or_integer`] or null; with `#[serde(default)]` it may be missing, too.
pub(crate) fn optional_text_or_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Present(#[serde(deserialize_with = "text_or_integer")] String);
    Ok(Option::<Present>::deserialize(deserializer)?.map(|present| present.0))
}

/// [`text_or_integer`] that with `#[serde(default)]` may be missing, but not null.
pub(crate) fn present_text_or_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    text_or_integer(deserializer).map(Some)
}

/// [`optional_text_or_integer`] that distinguishes a missing value from null.
pub(crate) fn nullable_text_or_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    optional_text_or_integer(deserializer).map(Some)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// A decimal number, as a number or as text, in plain digits.
pub(crate) fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Decimal)
}

/// [`decimal`] that with `#[serde(default)]` may be missing, but not null.
pub(crate) fn present_decimal<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    decimal(deserializer).map(Some)
}

struct Decimal;

impl Visitor<'_> for Decimal {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.trim().to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    /// The shortest digits that mean this number are those that the client sent. Adding zero drops the sign of `-0.0`.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok((number + 0.0).to_string())
    }
}

/// [`integer_or_text`] that with `#[serde(default)]` may be missing, but not null.
pub(crate) fn present_integer_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    integer_or_text(deserializer).map(Some)
}

/// Any value that with `#[serde(default)]` may be missing, but not null.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
