//! Examples by the name of the field or parameter. A schema that has an example keeps it.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Map, Value};
use utoipa::openapi::{
    Components, KnownFormat, Object, RefOr, Schema, SchemaFormat, Type,
    path::{Operation, Parameter},
    schema::{ArrayItems, SchemaType},
};

use super::references::parts;

/// For each name, an example of each type that it has.
const TABLE: &str = include_str!("examples.json");

/// The table of examples.
pub(super) struct Examples(Value);

impl Examples {
    /// If the table cannot be read, the test that requires examples fails.
    pub(super) fn new() -> Self {
        Self(serde_json::from_str(TABLE).unwrap_or_default())
    }

    /// Adds examples to every property.
    pub(super) fn add_to_components(&self, components: &mut Components) {
        for schema in components.schemas.values_mut() {
            self.add_to_properties(schema);
        }
    }

    /// Adds examples to parameters, and to the body: its own, or an object made of the examples of its properties.
    pub(super) fn add_to_operation(
        &self,
        operation: &mut Operation,
        schemas: &BTreeMap<String, RefOr<Schema>>,
    ) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
                self.fill(name, schema);
            }
        }
        let Some(RefOr::T(body)) = &mut operation.request_body else { return };
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content
                && let Some(RefOr::Ref(reference)) = &content.schema
                && let Some(name) = reference.ref_location.rsplit('/').next()
                && let Some(RefOr::T(Schema::Object(object))) = schemas.get(name)
            {
                let own = object.example.clone().or_else(|| object.examples.first().cloned());
                content.example = Some(own.unwrap_or_else(|| Value::Object(members(object))));
            }
        }
    }

    fn add_to_properties(&self, schema: &mut RefOr<Schema>) {
        if let RefOr::T(Schema::Object(object)) = schema {
            for (name, property) in &mut object.properties {
                self.fill(name, property);
            }
        }
        for part in parts(schema) {
            self.add_to_properties(part);
        }
    }

    fn fill(&self, name: &str, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(object))
                if object.examples.is_empty() && object.enum_values.is_none() =>
            {
                // `#[schema(example = …)]` writes the older keyword.
                object.examples.extend(object.example.take());
                if !object.examples.is_empty() {
                    return;
                }
                let mut candidates = self.0.get(name).and_then(Value::as_array).into_iter().flatten();
                let from_table = || candidates.find(|value| fits(value, object)).cloned();
                object.examples = first_word(object).or_else(from_table).into_iter().collect();
            }
            RefOr::T(Schema::Array(array)) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.fill(name, items);
                }
            }
            _ => {}
        }
    }
}

/// The first word of a pattern such as `^(own|all)$`.
fn first_word(object: &Object) -> Option<Value> {
    let (word, _) = object.pattern.as_deref()?.strip_prefix("^(")?.split_once('|')?;
    let is_word = word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    is_word.then(|| Value::from(word))
}

/// Whether the example has the type and the format of the schema.
fn fits(value: &Value, object: &Object) -> bool {
    let one_of = |kinds: &[Type]| {
        let is = |kind: &Type| match value {
            Value::Bool(_) => *kind == Type::Boolean,
            Value::Number(number) => *kind == Type::Number || (*kind == Type::Integer && number.is_i64()),
            Value::String(_) => *kind == Type::String,
            _ => false,
        };
        kinds.iter().any(is)
    };
    let text = value.as_str().unwrap_or_default();
    let has_format = match object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => text.parse::<uuid::Uuid>().is_ok(),
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    };
    let has_type = match &object.schema_type {
        SchemaType::Type(kind) => one_of(std::slice::from_ref(kind)),
        SchemaType::Array(kinds) => one_of(kinds),
        SchemaType::AnyValue => false,
    };
    has_type && has_format
}

fn members(object: &Object) -> Map<String, Value> {
    let example =
        |(name, property): (&String, &RefOr<Schema>)| Some((name.clone(), first_example(property)?));
    object.properties.iter().filter_map(example).collect()
}

/// A list has one item.
fn first_example(property: &RefOr<Schema>) -> Option<Value> {
    match property {
        RefOr::T(Schema::Object(object)) => {
            let listed = object.enum_values.iter().flatten();
            object.examples.iter().chain(listed).next().cloned()
        }
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(items) => first_example(items).map(|item| vec![item].into()),
            ArrayItems::False => None,
        },
        _ => None,
    }
}
