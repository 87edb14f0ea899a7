//! Answers from the cache: with an ETag, and 304 for who has them already.

use std::fmt::Display;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    Result,
    app::App,
    base::page::Page,
    platform::cache::{Entry, Recipe},
};
use utoipa::IntoParams;

use crate::http::{paging::Paging, problem::Answer};

/// What the client has, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "for the document; `conditional` reads several of them")]
pub(crate) struct IfNoneMatch {
    /// The `ETag` of the answer that the client has; if that is still the answer, 304 comes without it.
    #[param(rename = "If-None-Match", value_type = String, required = false)]
    if_none_match: Option<String>,
}

/// The answer that `load` makes, kept under the recipe.
pub(crate) async fn answer<F>(
    app: &App,
    headers: &HeaderMap,
    recipe: Recipe,
    load: impl Fn(App) -> F + Send + Sync + 'static,
) -> Answer<Response>
where
    F: Future<Output = Result<Entry>> + Send + 'static,
{
    let loader = app.clone();
    let entry = app.cache.get(recipe, move || load(loader.clone())).await?;
    Ok(conditional(headers, entry))
}

/// A list that `load` makes: kept when it is asked for as a whole, made again for a part of it.
pub(crate) async fn list<C, F>(
    app: &App,
    headers: &HeaderMap,
    paging: &Paging<C>,
    recipe: Recipe,
    load: impl Fn(App, Page<C>) -> F + Send + Sync + 'static,
) -> Answer<Response>
where
    C: Clone + Send + Sync + 'static,
    F: Future<Output = Result<Entry>> + Send + 'static,
{
    let (loader, page) = (app.clone(), paging.page.clone());
    let entry = if paging.is_whole() {
        app.cache.get(recipe, move || load(loader.clone(), page.clone())).await?
    } else {
        load(loader, page).await?
    };
    let link = entry.next.as_ref().and_then(|cursor| paging.link(cursor));
    let mut response = conditional(headers, entry);
    response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    Ok(response)
}

/// The body of an answer, to be kept.
pub(crate) fn entry(body: &impl Serialize) -> Result<Entry> {
    let body = serde_json::to_vec(body).map_err(|e| anyhow::Error::new(e).context("an answer"))?;
    Ok(Entry::of(body))
}

/// The same of a list, with the place where its next part begins.
pub(crate) fn part(next: Option<impl Display>, body: &impl Serialize) -> Result<Entry> {
    Ok(Entry { next: next.map(|cursor| cursor.to_string()), ..entry(body)? })
}

/// 304 when the client names the ETag (RFC 9110, 13.1.2: compared weakly), else the answer.
pub(crate) fn conditional(headers: &HeaderMap, entry: Entry) -> Response {
    let named = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = named.flat_map(|value| value.split(',')).map(str::trim);
    let known = tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == entry.etag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (json, Body::from(Bytes::from_owner(entry.body))).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&entry.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
