//! The `Range` header of a download: the response is the right part of the file, the whole file, or 416.

use std::{path::PathBuf, sync::OnceLock};

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_http::services::ServeFile;

const LENGTH: usize = 1000;

struct Server {
    runtime: Runtime,
    file: PathBuf,
    content: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let content: Vec<u8> = (0..LENGTH).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
        let file = folder.path().join("export.csv");
        std::fs::write(&file, &content).expect("a file");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, file, content, _folder: folder }
    }
}

/// The input as the value of the header.
pub fn run(data: &[u8]) {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| Mutex::new(Server::new())).lock();
    let mut request = http::Request::new(String::new());
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    request.headers_mut().insert(http::header::RANGE, value);
    let (parts, body) = server.runtime.block_on(async {
        let response = ServeFile::new(&server.file).oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        (parts, http_body_util::BodyExt::collect(body).await.expect("a body").to_bytes())
    });
    let header = |name: http::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    match parts.status.as_u16() {
        200 => assert_eq!(body, server.content),
        206 => {
            let range = header(http::header::CONTENT_RANGE).expect("a range");
            let (from, to) = bounds(range);
            assert_eq!(body, server.content[from..=to], "{range}");
        }
        416 => assert_eq!(header(http::header::CONTENT_RANGE), Some("bytes */1000")),
        other => panic!("status {other}"),
    }
}

/// The first and last byte in `bytes 3-7/1000`.
fn bounds(range: &str) -> (usize, usize) {
    let part = range.strip_prefix("bytes ").and_then(|range| range.strip_suffix("/1000"));
    let (from, to) = part.and_then(|part| part.split_once('-')).expect("a range");
    (from.parse().expect("a number"), to.parse().expect("a number"))
}
