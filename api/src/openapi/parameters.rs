//! Which parameters an operation has.

use utoipa::openapi::{
    RefOr,
    path::{Operation, Parameter, ParameterIn},
};

pub(super) fn has_parameter(operation: &Operation, name: &str, place: ParameterIn) -> bool {
    let is = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == name && parameter.parameter_in == place);
    operation.parameters.iter().flatten().any(is)
}
