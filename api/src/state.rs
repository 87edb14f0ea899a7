//! What handlers work with: the application, and what only the API needs.

use axum::extract::FromRef;
use shared::{
    app::App,
    jobs::followers::{Bounds, Followers},
};

/// The state of the router. A handler asks for the part it needs: `State<App>` or `State<Followers>`.
#[derive(Debug, Clone, FromRef)]
pub struct ApiState {
    /// The application.
    pub app: App,
    /// Clients that follow a job over server-sent events.
    pub followers: Followers,
}

impl From<App> for ApiState {
    fn from(app: App) -> Self {
        Self { followers: Followers::new(app.clone(), Bounds::default()), app }
    }
}
