//! `Range` of a download: what is sent is that part of the file, or 416, or the whole.

use std::{
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_http::services::ServeFile;

const LENGTH: usize = 1000;

struct Stage {
    runtime: Runtime,
    file: PathBuf,
    content: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let content: Vec<u8> = (0..LENGTH).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
        let file = folder.path().join("export.csv");
        std::fs::write(&file, &content).expect("a file");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, file, content, _folder: folder }
    }
}

/// The value of the header.
pub fn run(data: &[u8]) {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Mutex::new(Stage::set())).lock().unwrap_or_else(PoisonError::into_inner);
    let mut request = http::Request::new(String::new());
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    request.headers_mut().insert(http::header::RANGE, value);
    let (parts, body) = stage.runtime.block_on(async {
        let response = ServeFile::new(&stage.file).oneshot(request).await.expect("it never fails");
        let (parts, body) = response.into_parts();
        (parts, http_body_util::BodyExt::collect(body).await.expect("the body").to_bytes())
    });
    let header = |name: http::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    match parts.status.as_u16() {
        200 => assert_eq!(body, stage.content),
        206 => {
            let range = header(http::header::CONTENT_RANGE).expect("a range");
            let (from, to) = bounds(range);
            assert_eq!(body, stage.content[from..=to], "{range}");
        }
        416 => assert_eq!(header(http::header::CONTENT_RANGE), Some("bytes */1000")),
        other => panic!("answered {other}"),
    }
}

/// First and last byte of `bytes 3-7/1000`.
fn bounds(range: &str) -> (usize, usize) {
    let part = range.strip_prefix("bytes ").and_then(|range| range.strip_suffix("/1000"));
    let (from, to) = part.and_then(|part| part.split_once('-')).expect("a range");
    (from.parse().expect("a number"), to.parse().expect("a number"))
}
