//! Answers from the cache, with an ETag.

use std::fmt::Display;

use axum::{
    http::{HeaderMap, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::{
    Result,
    app::App,
    base::page::Page,
    platform::cache::{Entry, Recipe},
};

use crate::http::{etag::conditional, paging::Paging, problem::Answer};

/// The answer that `load` makes, cached as the recipe says.
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

/// The list that `load` makes. Only the whole list is cached; a page of it is loaded each time.
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
    let entry = if paging.is_whole_list() {
        app.cache.get(recipe, move || load(loader.clone(), page.clone())).await?
    } else {
        load(loader, page).await?
    };
    Ok(list_response(headers, paging, entry))
}

/// The response with a list, and the address of its next page.
pub(crate) fn list_response<C>(headers: &HeaderMap, paging: &Paging<C>, entry: Entry) -> Response {
    let link = entry.next.as_ref().and_then(|cursor| paging.link(cursor));
    let mut response = conditional(headers, entry);
    response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    response
}

/// A body in the form in which it is cached.
pub(crate) fn entry(body: &impl Serialize) -> Result<Entry> {
    let body =
        serde_json::to_vec(body).map_err(|e| anyhow::Error::new(e).context("serializing an answer"))?;
    Ok(Entry::of(body))
}

/// The same answer, true until `expires_at` unless something is written.
pub(crate) fn until(expires_at: Option<DateTime<Utc>>, entry: Entry) -> Entry {
    Entry { expires_at, ..entry }
}

/// A list in the form in which it is cached, with the cursor of its next page.
pub(crate) fn list_entry(next: Option<impl Display>, body: &impl Serialize) -> Result<Entry> {
    Ok(Entry { next: next.map(|cursor| cursor.to_string()), ..entry(body)? })
}
