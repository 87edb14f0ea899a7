//! The rules of every route in one table: who may call it, which rate limit counts it, which gate admits it, and whether it
//! writes. A test compares the table with the OpenAPI document.

mod pages;

use std::sync::LazyLock;

use axum::http::Method;
use shared::platform::rate_limit::Action;

use self::Access::{Admin, Anonymous, Attendant, Public, User};
pub use self::pages::PAGES;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone. A token is ignored, and calls are counted by address.
    Anonymous,
    /// Everyone. Calls with a token are counted by the session it names, without checking that it is still open.
    Public,
    /// Logged-in users.
    User,
    /// Attendants, at the lots that are assigned to them, and administrators.
    Attendant,
    /// Administrators.
    Admin,
}

/// Which limit on concurrent requests applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// None: orchestrators must get an answer from a busy process, too.
    Open,
    /// Logins, which a flood of other hashing requests does not block.
    Logins,
    /// Other routes that hash passwords have their own gate, so that a flood of them cannot block everything else.
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
    /// Whether it is a page for people: the session is in a cookie, and errors are pages.
    pub is_page: bool,
}

/// The routes of the OpenAPI document.
pub const ROUTES: &[Policy] = &[
    post("/auth/register", Anonymous).limited_as(Action::Register).gated(Gate::Passwords),
    // Guesses of passwords are counted where passwords are checked.
    post("/auth/login", Anonymous).gated(Gate::Logins),
    post("/auth/forgot-password", Anonymous).limited_as(Action::PasswordReset),
    get("/auth/reset-password", Public),
    post("/auth/reset-password", Anonymous).limited_as(Action::Login).gated(Gate::Passwords),
    get("/auth/verify-email", Public),
    post("/auth/verify-email", Anonymous),
    post("/auth/resend-verification", User),
    get("/auth/undo-email-change", Public),
    post("/auth/undo-email-change", Anonymous),
    post("/auth/logout", User),
    post("/auth/refresh", User),
    get("/auth/sessions", User),
    delete("/auth/sessions", User),
    delete("/auth/sessions/{id}", User),
    get("/auth/second-factor", User),
    post("/auth/second-factor", User).gated(Gate::Passwords),
    delete("/auth/second-factor", User),
    post("/auth/second-factor/confirm", User),
    post("/auth/second-factor/verify", User),
    get("/user/activity", User),
    get("/unsubscribe", Public),
    post("/unsubscribe", Public),
    get("/privacy", Public),
    get("/users", Admin).limited_as(Action::UserReads).counted("api_calls:users:get"),
    post("/users", Admin).gated(Gate::Passwords),
    get("/users/{id}", User).limited_as(Action::UserReads).counted("api_calls:users:get"),
    put("/users/{id}", User).gated(Gate::Passwords),
    delete("/users/{id}", User).gated(Gate::Passwords),
    delete("/users/{id}/sessions", Admin),
    delete("/users/{id}/second-factor", Admin),
    get("/users/{id}/reservations", User).counted("api_calls:users:get"),
    get("/users/{id}/vehicles", User).counted("api_calls:users:get"),
    post("/users/{id}/vehicles", User),
    delete("/users/{id}/vehicles/{vehicle_id}", User),
    get("/users/{id}/lots", Admin),
    put("/users/{id}/lots", Admin),
    post("/users/me/export", User).limited_as(Action::Export),
    post("/users/me/phone/verification", User).limited_as(Action::PhoneCode),
    post("/users/me/phone/verification/confirm", User),
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
    post("/reservations/{id}/payment/verify", Attendant),
    post("/reservations/{id}/waive", Admin),
    post("/reservations/{id}/refund", Admin),
    get("/attendant/lots", Attendant),
    get("/attendant/lots/{id}/spots", Attendant),
    get("/attendant/lots/{id}/unpaid", Attendant),
    post("/attendant/arrivals", Attendant),
    post("/attendant/departures", Attendant),
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
    get("/admin/lots/{id}/tariffs", Admin),
    post("/admin/lots/{id}/tariffs", Admin),
    get("/admin/lots/{id}/holidays", Admin),
    put("/admin/lots/{id}/holidays", Admin),
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
    let (counter, is_route, is_page) = (None, true, false);
    Policy { method: "POST", path, access, rate_limit, gate, writes: true, counter, is_route, is_page }
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

    const fn page(self) -> Self {
        Self { is_page: true, ..self }
    }

    const fn counted(self, counter: &'static str) -> Self {
        Self { counter: Some(counter), ..self }
    }

    /// The rules for a path or a method that no route has. `path` is for labels.
    fn of_no_route(method: &Method, path: &'static str) -> Self {
        let is_page = path.starts_with("/ui");
        Self {
            writes: !method.is_safe(),
            is_route: false,
            is_page,
            ..get(path, Public).by(method_name(method))
        }
    }

    /// Whether the path leads to a route, perhaps with another method.
    pub(crate) const fn is_known(&self) -> bool {
        !self.path.is_empty()
    }
}

static BY_PATH: LazyLock<matchit::Router<Vec<Policy>>> = LazyLock::new(|| {
    let mut router = matchit::Router::new();
    let all = || ROUTES.iter().chain(UNDOCUMENTED).chain(PAGES);
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
    let found = BY_PATH.at(inner.unwrap_or(path)).ok();
    // Pages have one address.
    let Some(found) = found.filter(|found| inner.is_none() || !found.value[0].is_page) else {
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
        _ if path == "/ui" || path.starts_with("/ui/") => "/ui",
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
mod tests;
