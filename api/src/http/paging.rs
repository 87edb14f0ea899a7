//! Pages of lists: `?limit=` and `?cursor=` in, `Link: <…>; rel="next"` out.

use std::{fmt::Display, marker::PhantomData, str::FromStr};

use axum::{
    Json,
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderName, HeaderValue, Uri, header, request::Parts},
    response::AppendHeaders,
};
use serde::Deserialize;
use shared::{
    Error,
    base::page::{MAX_LIMIT, Page, TimeCursor},
};
use utoipa::{
    IntoParams,
    openapi::{
        Object, ObjectBuilder, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};
use uuid::Uuid;

use crate::http::{params::Query, problem::Problem};

/// The largest `limit`.
const MAX_PAGE: i64 = 1000;

/// Without either, the whole list, up to 10,000 rows.
#[derive(Debug, Deserialize)]
struct PageParams {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `limit` and `cursor`, for the OpenAPI document.
pub(crate) struct PageQuery<C = i64>(PhantomData<C>);

/// What a list is sorted by, as text in `cursor`.
pub(crate) trait Cursor: FromStr {
    /// Its pattern, and an example.
    const FORM: (&str, &str);
}

impl Cursor for i64 {
    const FORM: (&str, &str) = ("^[0-9]{1,18}$", "57");
}

impl Cursor for Uuid {
    const FORM: (&str, &str) =
        ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "0190a0a0-0000-7000-8000-000000000000");
}

impl Cursor for TimeCursor {
    const FORM: (&str, &str) = (r"^[0-9]{1,16}\.[0-9]{1,18}$", "1795251600000000.7");
}

impl<C: Cursor> IntoParams for PageQuery<C> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str, schema: Object| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.description(Some(description)).schema(Some(schema)).build()
        };
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_PAGE));
        let (pattern, example) = C::FORM;
        let cursor =
            ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]);
        vec![
            parameter("limit", "The maximum number of rows", limit.build()),
            parameter(
                "cursor",
                "Where the page begins; take it from the `Link` header of the previous page",
                cursor.build(),
            ),
        ]
    }
}

/// The page of a list that was requested; `C` is read from the cursor.
#[derive(Debug, Clone)]
pub(crate) struct Paging<C = i64> {
    pub(crate) page: Page<C>,
    uri: Uri,
}

/// A page of a list, with the address of the next page.
pub(crate) type Linked<T> = (AppendHeaders<Option<(HeaderName, HeaderValue)>>, Json<T>);

impl<C: FromStr, S: Send + Sync> FromRequestParts<S> for Paging<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<PageParams>::from_request_parts(parts, state).await?;
        let OriginalUri(uri) =
            OriginalUri::from_request_parts(parts, state).await.unwrap_or_else(|e| match e {});
        let limit = match query.limit.map(|text| text.parse()) {
            None => MAX_LIMIT,
            Some(Ok(limit)) if (1..=MAX_PAGE).contains(&limit) => limit,
            Some(_) => return Err(Error::invalid("limit", "must be a whole number from 1 to 1000").into()),
        };
        let wrong = |_| Error::invalid("cursor", "must come from a Link header of this list");
        let after = query.cursor.map(|text| text.parse().map_err(wrong)).transpose()?;
        Ok(Self { page: Page { limit, after }, uri })
    }
}

impl<C> Paging<C> {
    /// Whether neither limit nor cursor were given.
    pub(crate) fn is_whole_list(&self) -> bool {
        self.page.limit == MAX_LIMIT && self.page.after.is_none()
    }

    /// The response; `next` is the cursor of the next page, if there is one.
    pub(crate) fn answer<T>(&self, next: Option<impl Display>, body: T) -> Linked<T> {
        let link = next.and_then(|cursor| self.link(&cursor));
        (AppendHeaders(link.map(|link| (header::LINK, link))), Json(body))
    }

    pub(crate) fn link(&self, cursor: &impl Display) -> Option<HeaderValue> {
        let query = self.uri.query().unwrap_or_default();
        let kept: String = query
            .split('&')
            .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"))
            .flat_map(|pair| [pair, "&"])
            .collect();
        HeaderValue::from_str(&format!("<{}?{kept}cursor={cursor}>; rel=\"next\"", self.uri.path())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_keeps_the_rest_of_the_query() {
        let link = |uri: &str| {
            let paging: Paging = Paging { page: Page::default(), uri: uri.parse().unwrap() };
            paging.link(&7).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(link("/api/users"), "</api/users?cursor=7>; rel=\"next\"");
        assert_eq!(link("/users?cursor=3&limit=2"), "</users?limit=2&cursor=7>; rel=\"next\"");
        assert_eq!(link("/users?limit=2&x=%20"), "</users?limit=2&x=%20&cursor=7>; rel=\"next\"");
    }
}
