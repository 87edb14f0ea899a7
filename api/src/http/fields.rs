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

/// A number, or text that holds one.
pub(crate) fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }
    let wrong = || de::Error::custom("must be a number");
    match Either::deserialize(deserializer).map_err(|_| wrong())? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.trim().parse().map_err(|_| wrong()),
    }
}

/// [`number_or_text`] that with `#[serde(default)]` may be missing, but not null.
pub(crate) fn present_number_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    number_or_text(deserializer).map(Some)
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
