//! Schemas of values that have no type of their own.

use shared::base::currency::Currency;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};

/// Text that is not blank and has no NUL.
pub(crate) fn text<const MAX: usize>() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX))
        .pattern(Some(r"^[^\u0000]*[^\s\u0000][^\u0000]*$"))
        .build()
}

/// An ISO 8601 time or day.
pub(crate) fn instant() -> Object {
    timed(SchemaType::Type(Type::String))
}

/// An ISO 8601 time or day, or null.
pub(crate) fn optional_instant() -> Object {
    timed(SchemaType::from_iter([Type::String, Type::Null]))
}

fn timed(kind: SchemaType) -> Object {
    ObjectBuilder::new()
        .schema_type(kind)
        .description(Some("ISO 8601; without an offset, in the time zone of the installation"))
        // Every day from 1971 to 2099, so that schemathesis invents no days that do not exist.
        .pattern(Some(concat!(
            r"^((19(7[1-9]|[89][0-9])|20[0-9]{2})-",
            r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))",
            r"|(19(7[26]|8[048]|9[26])|20([02468][048]|[13579][26]))-02-29)",
            r"(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?)?$"
        )))
        .build()
}

/// The price of an hour, with the decimal places of the currency.
pub(crate) fn price() -> Object {
    let (step, pattern) = match Currency::installed().decimals() {
        0 => (1.0, "^[0-9]{1,9}$".to_owned()),
        decimals => {
            (1.0 / 10_f64.powi(decimals.cast_signed()), format!(r"^[0-9]{{1,9}}(\.[0-9]{{1,{decimals}}})?$"))
        }
    };
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
        .description(Some("Per started hour, as a decimal in the main currency unit (25.50)"))
        .minimum(Some(0))
        .maximum(Some(10_000_000_000_i64))
        .multiple_of(Some(step))
        .pattern(Some(pattern))
        .build()
}

/// The number of spots of a lot.
pub(crate) fn slots() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::String]))
        .minimum(Some(1))
        .maximum(Some(10_000))
        .pattern(Some("^(10000|[1-9][0-9]{0,3})$"))
        .build()
}

/// An id, also as text, or null.
pub(crate) fn optional_id() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::String, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .pattern(Some("^[0-9]{1,18}$"))
        .build()
}
