//! Lists in parts: `?limit=` and `?cursor=` in, `Link: <…>; rel="next"` out.

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

use crate::http::{extract::Query, problem::Problem};

/// The most rows of a part that a client may ask for.
const MOST: i64 = 1000;

/// Which part of a list. Without either, the whole list, up to 10,000 rows.
#[derive(Debug, Deserialize)]
struct Part {
    limit: Option<String>,
    cursor: Option<String>,
}

/// The same for the document; `C` as in [`Paging`].
pub(crate) struct PageQuery<C = i64>(PhantomData<C>);

/// What a list is sorted by.
pub(crate) trait Cursor: FromStr {
    /// How it is written, and an example.
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
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MOST));
        let (pattern, example) = C::FORM;
        let cursor =
            ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).examples([example]);
        vec![
            parameter("limit", "At most so many rows", limit.build()),
            parameter(
                "cursor",
                "Where the part begins; take it from the `Link` of the part before",
                cursor.build(),
            ),
        ]
    }
}

/// The part of a list that the request is about; `C` is read from the cursor.
#[derive(Debug, Clone)]
pub(crate) struct Paging<C = i64> {
    pub(crate) page: Page<C>,
    uri: Uri,
}

/// A list's answer, with the address of its next part.
pub(crate) type Linked<T> = (AppendHeaders<Option<(HeaderName, HeaderValue)>>, Json<T>);

impl<C: FromStr, S: Send + Sync> FromRequestParts<S> for Paging<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<Part>::from_request_parts(parts, state).await?;
        let OriginalUri(uri) =
            OriginalUri::from_request_parts(parts, state).await.unwrap_or_else(|e| match e {});
        let limit = match query.limit.map(|text| text.parse()) {
            None => MAX_LIMIT,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => return Err(Error::invalid("limit", "must be a whole number from 1 to 1000").into()),
        };
        let wrong = |_| Error::invalid("cursor", "must be one from the Link header of this list");
        let after = query.cursor.map(|text| text.parse().map_err(wrong)).transpose()?;
        Ok(Self { page: Page { limit, after }, uri })
    }
}

impl<C> Paging<C> {
    /// Whether the request names a part at all.
    pub(crate) fn is_whole(&self) -> bool {
        self.page.limit == MAX_LIMIT && self.page.after.is_none()
    }

    /// The answer; `next` is where the next part begins, if there is one.
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
