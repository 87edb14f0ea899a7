//! The files that pages load: compiled in, named by a hash of their content, and compressed once.

use std::{io::Write, sync::LazyLock};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::http::{
    params::Path,
    problem::{Answer, Problem},
};

/// A file, and its address.
#[derive(Debug)]
pub struct Asset {
    /// `app-0123456789ab.css`
    pub name: String,
    kind: &'static str,
    plain: Bytes,
    compressed: Option<Bytes>,
}

/// All files.
#[derive(Debug)]
pub struct Assets {
    /// The style of all pages.
    pub css: Asset,
    /// The script of all pages, which work without it.
    pub js: Asset,
    /// The icon.
    pub icon: Asset,
    /// What browsers need to install the pages as an application.
    pub manifest: Asset,
}

/// A year: the name changes with the content.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let icon = Asset::new("icon", "svg", include_bytes!("../../../templates/pages/static/icon.svg").to_vec());
    let manifest = include_str!("../../../templates/pages/static/manifest.webmanifest");
    let manifest = manifest.replace("ICON", &icon.url()).into_bytes();
    Assets {
        css: Asset::new("app", "css", include_bytes!("../../../templates/pages/static/app.css").to_vec()),
        js: Asset::new("app", "js", include_bytes!("../../../templates/pages/static/app.js").to_vec()),
        manifest: Asset::new("parkade", "webmanifest", manifest),
        icon,
    }
});

/// All files.
#[must_use]
pub fn all() -> &'static Assets {
    &ASSETS
}

impl Asset {
    fn new(stem: &str, extension: &str, plain: Vec<u8>) -> Self {
        let hash = hex::encode(&Sha256::digest(&plain)[..6]);
        let kind = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/manifest+json",
        };
        let compressed = compressed(&plain).ok().map(Bytes::from);
        Self { name: format!("{stem}-{hash}.{extension}"), kind, plain: plain.into(), compressed }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("/ui/static/{}", self.name)
    }
}

fn compressed(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// One of the files.
pub(crate) async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Answer<Response> {
    let Assets { css, js, icon, manifest } = all();
    let asset = [css, js, icon, manifest].into_iter().find(|asset| asset.name == file);
    let asset = asset.ok_or_else(|| Problem::from(StatusCode::NOT_FOUND))?;
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    let compressed = asset.compressed.clone().filter(|_| accepted.is_some_and(|text| text.contains("gzip")));
    let mut answer = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, CACHED),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ]
    .into_response();
    if compressed.is_some() {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *answer.body_mut() = compressed.unwrap_or_else(|| asset.plain.clone()).into();
    Ok(answer)
}
