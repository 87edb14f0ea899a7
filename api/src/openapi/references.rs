//! The schema of a generic type contains that of its argument. Clients get one type for both if it is a reference.

use utoipa::openapi::{Components, Ref, RefOr, Schema, schema::ArrayItems};

/// Replaces schemas inside of others by references to equal components.
pub(super) fn add(components: &mut Components) {
    let objects = components.schemas.iter().filter(|(_, schema)| is_object(schema));
    let named: Vec<_> = objects.map(|(name, schema)| (name.clone(), schema.clone())).collect();
    for schema in components.schemas.values_mut() {
        replace_parts(schema, &named);
    }
}

fn is_object(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
        RefOr::T(Schema::AllOf(_)) => true,
        _ => false,
    }
}

fn replace_parts(schema: &mut RefOr<Schema>, named: &[(String, RefOr<Schema>)]) {
    for part in parts(schema) {
        match named.iter().find(|(_, component)| component == part) {
            Some((name, _)) => *part = RefOr::Ref(Ref::from_schema_name(name)),
            None => replace_parts(part, named),
        }
    }
}

/// The schemas directly inside of a schema.
pub(super) fn parts(schema: &mut RefOr<Schema>) -> Vec<&mut RefOr<Schema>> {
    let RefOr::T(schema) = schema else { return Vec::new() };
    match schema {
        Schema::Object(object) => object.properties.values_mut().collect(),
        Schema::Array(array) => match &mut array.items {
            ArrayItems::RefOrSchema(items) => vec![items],
            ArrayItems::False => Vec::new(),
        },
        Schema::OneOf(some) => some.items.iter_mut().collect(),
        Schema::AllOf(some) => some.items.iter_mut().collect(),
        Schema::AnyOf(some) => some.items.iter_mut().collect(),
        _ => Vec::new(),
    }
}
