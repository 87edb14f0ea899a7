//! The rules of every route in one table: who may call it, which rate limit counts it, which gate admits it, and whether it
//! writes. A test compares the table with the OpenAPI document.

use std::sync::LazyLock;

use axum::http::Method;
use shared::platform::rate_limit::Action;

use self::Access::{Admin, Anonymous, Public, User};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone. A token is ignored, and calls are counted by address.
    Anonymous,
    /// Everyone. Calls with a token are counted by the session it names, without checking that it is still open.
    Public,
    /// Logged-in users.
    User,
    /// Administrators.
    Admin,
}

/// Which limit on concurrent requests applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// None: orchestrators must get an answer from a busy process, too.
    Open,
    /// Routes that hash passwords have their own gate, so that a flood of logins cannot block everything else.
    Passwords,
    /// The gate for all other requests.
    Requests,
}

/// The rules of one route.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// `GET` includes `HEAD`.
    pub method: &'static str,
    /// The template, without `/api`; empty for an unknown path.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The rate limit that counts its calls; `None` for no limit, on public routes only.
    pub rate_limit: Option<Action>,
    /// Which gate admits it.
    pub gate: Gate,
    /// Whether a request that has begun is finished even if the client disconnects or the deadline passes.
    pub writes: bool,
    /// A counter in Redis beside the one of the endpoint.
    pub counter: Option<&'static str>,
    /// Whether there is a handler; otherwise the response is 404 or 405, except for pages.
    pub is_route: bool,
}

/// The routes of the OpenAPI document.
pub const ROUTES: &[Policy] = &[
    post("/auth/register", Anonymous).limited_as(Action::Register).gated(Gate::Passwords),
    post("/auth/login", Anonymous).limited_as(Action::Login).gated(Gate::Passwords),
    post("/auth/forgot-password", Anonymous).limited_as(Action::PasswordReset),
    get("/auth/reset-password", Public),
    post("/auth/reset-password", Anonymous).limited_as(Action::Login).gated(Gate::Passwords),
    get("/auth/verify-email", Public),
    post("/auth/verify-email", Anonymous),
    post("/auth/logout", User),
    post("/auth/refresh", User),
    get("/auth/sessions", User),
    delete("/auth/sessions/{id}", User),
    get("/user/activity", User),
    get("/unsubscribe", Public),
    post("/unsubscribe", Public),
    get("/privacy", Public),
    get("/users", Admin).limited_as(Action::UserReads).counted("api_calls:users:get"),
    post("/users", Admin),
    get("/users/{id}", User).limited_as(Action::UserReads).counted("api_calls:users:get"),
    put("/users/{id}", User),
    delete("/users/{id}", Admin),
    get("/users/{id}/reservations", User).counted("api_calls:users:get"),
    get("/users/{id}/vehicles", User).counted("api_calls:users:get"),
    post("/users/{id}/vehicles", User),
    delete("/users/{id}/vehicles/{vehicle_id}", User),
    get("/parking-lots", Public).counted("api_calls:parking_lots:get"),
    post("/parking-lots", Admin),
    get("/parking-lots/{id}", Public).counted("api_calls:parking_lots:get"),
    put("/parking-lots/{id}", Admin),
    delete("/parking-lots/{id}", Admin),
    get("/parking-lots/{id}/available-spots", Public).counted("api_calls:parking_lots:get"),
    get("/parking-lots/{id}/availability", Public).counted("api_calls:parking_lots:get"),
    get("/parking-spots", Admin),
    get("/parking-spots/{id}", Admin),
    put("/parking-spots/{id}", Admin),
    post("/booking/book-spot", User),
    post("/booking/occupy-spot", User),
    post("/booking/release-spot", User),
    get("/reservations", Admin),
    post("/reservations", User),
    get("/reservations/{id}", User),
    get("/reservations/{id}/bill", User),
    patch("/reservations/{id}", User),
    delete("/reservations/{id}", User),
    post("/reservations/{id}/payment", User),
    post("/reservations/{id}/payment/verify", Admin),
    post("/reservations/{id}/waive", Admin),
    post("/export/csv/request", User).limited_as(Action::Export),
    get("/export/csv/status/{id}", User),
    get("/export/download/{id}", User),
    get("/export/csv/history", User),
    get("/export/admin/jobs", Admin),
    post("/export/admin/cleanup", Admin),
    post("/export/csv/cancel/{id}", User),
    get("/export/parking-details", Admin),
    get("/export/monthly-report", Admin),
    get("/reports", Admin),
    get("/user-reports", User),
    get("/user-booking-history", User),
    get("/tasks/{task}", User),
    post("/tasks/{task}", User).limited_as(Action::Export),
    get("/tasks/{task_id}/events", User),
    get("/admin/jobs", Admin),
    get("/admin/jobs/{id}", Admin),
    delete("/admin/jobs/{id}", Admin),
    post("/admin/jobs/{id}/requeue", Admin),
    post("/admin/jobs/{id}/cancel", Admin),
    post("/admin/jobs/requeue", Admin),
    post("/admin/jobs/purge", Admin),
    post("/admin/schedules/{name}/run", Admin),
    post("/admin/schedules/{name}/pause", Admin),
    post("/admin/schedules/{name}/resume", Admin),
    post("/admin/queues/{name}/pause", Admin),
    post("/admin/queues/{name}/resume", Admin),
    get("/admin/integrity", Admin),
    get("/admin/deliveries", Admin),
    get("/admin/audit", Admin),
    get("/admin/redis-dashboard", Admin),
    post("/admin/clear-cache", Admin),
    post("/admin/cache/clear", Admin),
    post("/admin/reset-database", Admin),
    get("/debug/database-info", Admin),
    get("/health", Public).gated(Gate::Open),
    get("/health/live", Public).gated(Gate::Open).unlimited(),
    get("/health/ready", Public).gated(Gate::Open).unlimited(),
    get("/health/redis", Public).gated(Gate::Open),
];

/// Routes that tell authorised callers that the last part of a path is wrong.
const UNDOCUMENTED: &[Policy] = &[post("/booking/{action}", User), get("/export/{kind}", Admin)];

const fn get(path: &'static str, access: Access) -> Policy {
    Policy { writes: false, ..post(path, access).by("GET") }
}

const fn post(path: &'static str, access: Access) -> Policy {
    let (rate_limit, gate) = (Some(Action::Default), Gate::Requests);
    Policy { method: "POST", path, access, rate_limit, gate, writes: true, counter: None, is_route: true }
}

const fn put(path: &'static str, access: Access) -> Policy {
    post(path, access).by("PUT")
}

const fn patch(path: &'static str, access: Access) -> Policy {
    post(path, access).by("PATCH")
}

const fn delete(path: &'static str, access: Access) -> Policy {
    post(path, access).by("DELETE")
}

impl Policy {
    const fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    const fn limited_as(self, action: Action) -> Self {
        Self { rate_limit: Some(action), ..self }
    }

    const fn unlimited(self) -> Self {
        Self { rate_limit: None, ..self }
    }

    const fn gated(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    const fn counted(self, counter: &'static str) -> Self {
        Self { counter: Some(counter), ..self }
    }

    /// The rules for a path or a method that no route has. `path` is for labels.
    fn of_no_route(method: &Method, path: &'static str) -> Self {
        Self { writes: !method.is_safe(), is_route: false, ..get(path, Public).by(method_name(method)) }
    }

    /// Whether the path leads to a route, perhaps with another method.
    pub(crate) const fn is_known(&self) -> bool {
        !self.path.is_empty()
    }
}

static BY_PATH: LazyLock<matchit::Router<Vec<Policy>>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    let all = || ROUTES.iter().chain(UNDOCUMENTED);
    for path in all().map(|policy| policy.path) {
        let of_path = all().filter(|policy| policy.path == path).copied().collect();
        // The methods of a path come one after the other; only the first is new.
        drop(router.insert(path, of_path));
    }
    router
});

/// The policy for a request, whichever of its two addresses it uses.
pub(crate) fn find(method: &Method, path: &str) -> Policy {
    let inner = without_prefix(path);
    let Ok(found) = BY_PATH.at(inner.unwrap_or(path)) else {
        return Policy::of_no_route(method, page(path));
    };
    let wanted = method_name(if *method == Method::HEAD { &Method::GET } else { method });
    let policy = found.value.iter().find(|policy| policy.method == wanted).copied();
    policy.unwrap_or_else(|| Policy::of_no_route(method, found.value[0].path))
}

/// The label of a page that is not in the OpenAPI document.
fn page(path: &str) -> &'static str {
    match path {
        "/" => "/",
        "/api" | "/api/" => "/api",
        "/openapi.json" => "/openapi.json",
        _ if path == "/docs" || path.starts_with("/docs/") => "/docs",
        _ => "",
    }
}

/// The path below `/api`, if it is there.
pub(crate) fn without_prefix(path: &str) -> Option<&str> {
    path.strip_prefix("/api").filter(|rest| rest.starts_with('/'))
}

/// The name of a method in labels and counters. Unknown ones share a name, as clients can invent any number of them.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_at_both_addresses() {
        for row in ROUTES.iter().chain(UNDOCUMENTED) {
            let path = row.path.replace(['{', '}'], "");
            let method: Method = row.method.parse().unwrap();
            for path in [path.clone(), format!("/api{path}")] {
                let found = find(&method, &path);
                assert_eq!((found.method, found.path), (row.method, row.path), "{path}");
            }
        }
    }

    #[test]
    fn only_public_routes_are_unlimited() {
        assert!(ROUTES.iter().all(|row| row.rate_limit.is_some() || row.access == Public));
    }

    #[test]
    fn other_methods_and_paths_get_the_default_rules() {
        let head = find(&Method::HEAD, "/users");
        assert_eq!((head.method, head.access, head.writes), ("GET", Admin, false));
        let wrong_method = find(&Method::PATCH, "/api/users");
        assert_eq!((wrong_method.path, wrong_method.access, wrong_method.writes), ("/users", Public, true));
        for (path, label) in [
            ("/nowhere", ""),
            ("/api/docs", ""),
            ("/api/", "/api"),
            ("/api/openapi.json", ""),
            ("/docs/", "/docs"),
            ("/", "/"),
        ] {
            assert_eq!(find(&Method::GET, path).path, label, "{path}");
        }
    }
}
