//! Rate limits around every handler: which budget a call is taken from, and what its answer says about it.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::counter;
use shared::{
    Error,
    app::App,
    parking::accounts::session,
    platform::{
        metrics as names,
        rate_limit::{Action, Decision},
    },
};

use crate::http::{
    auth::bearer,
    problem::{Problem, whole_seconds},
};

/// Takes the call of a route out of its caller's budget, and refuses it when there is none left.
pub(crate) async fn limit(app: &App, path: &str, mut request: Request, next: Next) -> Response {
    let Some(action) = action(request.method(), path) else { return next.run(request).await };
    let caller = match caller(app, action, path, &mut request).await {
        Ok(caller) => caller,
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut decision = app.limits.take(action, &caller).await;
    let mut response = if decision.allowed {
        next.run(request).await
    } else {
        app.counters.increment("rate_limit_violations");
        counter!(names::RATE_LIMITED, "action" => action.name()).increment(1);
        Problem::from(Error::RateLimited { retry_after: decision.retry_after }).into_response()
    };
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        decision.remaining = 0;
    }
    tell(response.headers_mut(), action, &decision);
    response
}

/// Which budget a route is taken from; what orchestrators ask is free.
fn action(method: &Method, path: &str) -> Option<Action> {
    Some(match (method.as_str(), path) {
        (_, "/health/live" | "/health/ready") => return None,
        ("GET" | "HEAD", "/users" | "/users/{id}") => Action::UserReads,
        ("POST", "/auth/login") => Action::Login,
        ("POST", "/auth/register") => Action::Register,
        ("POST", "/export/csv/request" | "/tasks/{task}") => Action::Export,
        _ => Action::Default,
    })
}

/// What everybody may read, and everybody does, on each page of the client.
fn is_public(method: &Method, path: &str) -> bool {
    let is_of_lots =
        ["/parking-lots", "/parking-lots/{id}", "/parking-lots/{id}/available-spots"].contains(&path);
    method.is_safe() && is_of_lots
}

/// The user of a good token, except where nobody is logged in yet; else the address. Who was found is left with the
/// request, for the handler. Where nobody needs to be known, it is not asked whether the session has ended: it has a budget of
/// its own, so that a token that was stolen and ended spends none of its user's.
async fn caller(app: &App, action: Action, path: &str, request: &mut Request) -> Result<String, Error> {
    let is_anonymous = matches!(action, Action::Login | Action::Register);
    match bearer(request.headers()).filter(|_| !is_anonymous) {
        None => {}
        Some(token) if is_public(request.method(), path) => {
            if let Some(session) = session::session_id(app, token)? {
                return Ok(format!("session:{session}"));
            }
        }
        Some(token) => match session::authenticate(app, token).await {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                return Ok(format!("user:{}", identity.user_id));
            }
            // The handler would wait for it as long again.
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(_) => {}
        },
    }
    Ok(format!("address:{}", Address::of(app, request)))
}

/// Where a request comes from. Of IPv6, a customer has a whole /64.
struct Address(Option<IpAddr>);

impl Address {
    fn of(app: &App, request: &Request) -> Self {
        let is_trusted = |address: &IpAddr| app.config.trusted_proxies.contains(address);
        let peer =
            request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let Some(peer) = peer.filter(is_trusted) else { return Self(peer) };
        // Proxies append, so only what comes after the last stranger can be believed, and the stranger is the caller.
        let lines = request.headers().get_all("x-forwarded-for").iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let read = |hop: &str| hop.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical());
        Self(Some(hops.map_while(read).find(|hop| !is_trusted(hop)).unwrap_or(peer)))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                write!(f, "{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Some(address) => write!(f, "{address}"),
            None => f.write_str("unknown"),
        }
    }
}

/// The headers of the drafts (`RateLimit-Policy`, `RateLimit`) and the older ones that most clients know.
fn tell(headers: &mut HeaderMap, action: Action, decision: &Decision) {
    let (name, calls, window) = (action.name(), decision.budget.calls, decision.budget.window.as_secs());
    let (remaining, reset) = (decision.remaining, whole_seconds(decision.reset));
    let texts = [
        (HeaderName::from_static("ratelimit-policy"), format!("\"{name}\";q={calls};w={window}")),
        (HeaderName::from_static("ratelimit"), format!("\"{name}\";r={remaining};t={reset}")),
    ];
    let numbers = [
        (HeaderName::from_static("x-ratelimit-limit"), u64::from(calls)),
        (HeaderName::from_static("x-ratelimit-remaining"), u64::from(remaining)),
        (HeaderName::from_static("x-ratelimit-reset"), reset),
    ];
    headers
        .extend(texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))));
    headers.extend(numbers.map(|(name, number)| (name, HeaderValue::from(number))));
}
