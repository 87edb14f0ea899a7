//! What operators watch with, and where backups are.

use std::{net::SocketAddr, path::PathBuf};

use super::{Sources, socket_address};

/// Metrics, spans and backups; all of it is off when it is not set.
#[derive(Debug, Clone)]
pub struct Operations {
    /// `METRICS_ADDR`: the API serves metrics here.
    pub metrics_addr: Option<SocketAddr>,
    /// `WORKER_METRICS_ADDR`: a worker does.
    pub worker_metrics_addr: Option<SocketAddr>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, without a slash at its end.
    pub otlp_endpoint: Option<String>,
    /// `BACKUP_FOLDER`.
    pub backup_folder: Option<PathBuf>,
}

impl Operations {
    pub(super) fn read(from: &mut Sources) -> Self {
        let otlp_endpoint = from.parse("OTEL_EXPORTER_OTLP_ENDPOINT", |url| {
            let is_url =
                ["http://", "https://"].iter().any(|begin| url.len() > begin.len() && url.starts_with(begin));
            is_url.then(|| url.trim_end_matches('/').to_owned()).ok_or("must begin with http:// or https://")
        });
        Self {
            metrics_addr: from.parse("METRICS_ADDR", socket_address),
            worker_metrics_addr: from.parse("WORKER_METRICS_ADDR", socket_address),
            otlp_endpoint,
            backup_folder: from.text("BACKUP_FOLDER").map(PathBuf::from),
        }
    }
}
