//! Metrics, spans and backups.

use std::{net::SocketAddr, path::PathBuf};

use super::{parse, sources::Sources};

/// Metrics, spans and backups, each off unless it is set.
#[derive(Debug, Clone)]
pub struct Operations {
    /// `METRICS_ADDR`: where the API serves metrics.
    pub metrics_addr: Option<SocketAddr>,
    /// `WORKER_METRICS_ADDR`: where a worker serves metrics.
    pub worker_metrics_addr: Option<SocketAddr>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, without a trailing slash.
    pub otlp_endpoint: Option<String>,
    /// `BACKUP_FOLDER`.
    pub backup_folder: Option<PathBuf>,
}

impl Operations {
    pub(super) fn read(from: &mut Sources) -> Self {
        Self {
            metrics_addr: from.parse("METRICS_ADDR", parse::socket_address),
            worker_metrics_addr: from.parse("WORKER_METRICS_ADDR", parse::socket_address),
            otlp_endpoint: from.parse("OTEL_EXPORTER_OTLP_ENDPOINT", parse::collector_url),
            backup_folder: from.text("BACKUP_FOLDER").map(PathBuf::from),
        }
    }
}
