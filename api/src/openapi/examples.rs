//! Examples by the name of the field or parameter. A schema that has an example keeps it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use utoipa::openapi::{
    Components, KnownFormat, Object, RefOr, Schema, SchemaFormat, Type,
    path::{Operation, Parameter},
    schema::{ArrayItems, SchemaType},
};

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

    /// Adds examples to parameters, and to the body: an object made of the examples of its properties.
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
                content.example = Some(Value::Object(members(object)));
            }
        }
    }

    fn add_to_properties(&self, schema: &mut RefOr<Schema>) {
        let RefOr::T(schema) = schema else { return };
        match schema {
            Schema::Object(object) => {
                for (name, property) in &mut object.properties {
                    self.fill(name, property);
                    self.add_to_properties(property);
                }
            }
            Schema::Array(array) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.add_to_properties(items);
                }
            }
            Schema::OneOf(some) => some.items.iter_mut().for_each(|item| self.add_to_properties(item)),
            Schema::AllOf(some) => some.items.iter_mut().for_each(|item| self.add_to_properties(item)),
            Schema::AnyOf(some) => some.items.iter_mut().for_each(|item| self.add_to_properties(item)),
            _ => {}
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

/// Whether the example has the type of the schema. UUIDs are distinguished from other text by their format.
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
