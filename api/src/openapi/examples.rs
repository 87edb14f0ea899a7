//! Examples, by the name of what they are examples of. One that a schema has already is left alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::openapi::{
    Components, KnownFormat, Object, RefOr, Schema, SchemaFormat, Type,
    path::{Operation, Parameter},
    schema::{ArrayItems, SchemaType},
};

/// By name, those of one type each.
const TABLE: &str = include_str!("examples.json");

/// What is needed to fill the document.
pub(super) struct Examples(Value);

impl Examples {
    /// A test finds out when a name is missing, and so when the table cannot be read.
    pub(super) fn new() -> Self {
        Self(serde_json::from_str(TABLE).unwrap_or_default())
    }

    /// Fills in those of every property.
    pub(super) fn of_components(&self, components: &mut Components) {
        for schema in components.schemas.values_mut() {
            self.of_properties(schema);
        }
    }

    /// Fills in those of parameters, and that of a body: an object of the examples of its properties.
    pub(super) fn of_operation(&self, operation: &mut Operation, schemas: &BTreeMap<String, RefOr<Schema>>) {
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
                content.example = Some(Value::Object(members(object)));
            }
        }
    }

    fn of_properties(&self, schema: &mut RefOr<Schema>) {
        let RefOr::T(schema) = schema else { return };
        match schema {
            Schema::Object(object) => {
                for (name, property) in &mut object.properties {
                    self.fill(name, property);
                    self.of_properties(property);
                }
            }
            Schema::Array(array) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.of_properties(items);
                }
            }
            Schema::OneOf(some) => some.items.iter_mut().for_each(|item| self.of_properties(item)),
            Schema::AllOf(some) => some.items.iter_mut().for_each(|item| self.of_properties(item)),
            Schema::AnyOf(some) => some.items.iter_mut().for_each(|item| self.of_properties(item)),
            _ => {}
        }
    }

    fn fill(&self, name: &str, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(object))
                if object.examples.is_empty() && object.enum_values.is_none() =>
            {
                // Those of handlers come by the older keyword.
                object.examples.extend(object.example.take());
                if !object.examples.is_empty() {
                    return;
                }
                let candidates = self.0.get(name).and_then(Value::as_array);
                object.examples = candidates
                    .into_iter()
                    .flatten()
                    .find(|value| fits(value, object))
                    .cloned()
                    .into_iter()
                    .collect();
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

/// By type; a UUID is told from other texts by its format.
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
    let is_uuid = object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
    let has_type = match &object.schema_type {
        SchemaType::Type(kind) => one_of(std::slice::from_ref(kind)),
        SchemaType::Array(kinds) => one_of(kinds),
        SchemaType::AnyValue => false,
    };
    has_type && (!is_uuid || value.as_str().is_some_and(|text| text.parse::<uuid::Uuid>().is_ok()))
}

fn members(object: &Object) -> Map<String, Value> {
    let example = |(name, property): (&String, &RefOr<Schema>)| match property {
        RefOr::T(Schema::Object(object)) => {
            let listed = object.enum_values.iter().flatten();
            Some((name.clone(), object.examples.iter().chain(listed).next()?.clone()))
        }
        _ => None,
    };
    object.properties.iter().filter_map(example).collect()
}
