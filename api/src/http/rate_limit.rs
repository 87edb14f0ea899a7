//! Rate limits: counts a call, rejects it with 429 when the limit is used up, and says in headers what is left.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use metrics::counter;
use shared::{
    Error,
    app::App,
    platform::{
        metrics as names,
        rate_limit::{Action, Decision},
    },
};

use crate::http::problem::{Problem, whole_seconds};

/// The response of `handling`, which is run only if the caller has calls left.
pub(crate) async fn limited(
    app: &App,
    action: Action,
    caller: &str,
    handling: impl Future<Output = Response>,
) -> Response {
    let mut decision = app.limits.take(action, caller).await;
    let mut response = if decision.allowed { handling.await } else { rejected(app, action, &decision) };
    if decision.allowed && action == Action::Register && response.status() == StatusCode::BAD_REQUEST {
        // Who corrects a form may try again; the invalid attempts count among all calls.
        app.limits.give_back(action, caller).await;
        decision = app.limits.take(Action::Default, caller).await;
        if !decision.allowed {
            response = rejected(app, Action::Default, &decision);
        }
        add_headers(response.headers_mut(), Action::Default, &decision);
        return response;
    }
    // A handler may have applied another limit, such as that of logins to an account.
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        decision.remaining = 0;
    }
    add_headers(response.headers_mut(), action, &decision);
    response
}

fn rejected(app: &App, action: Action, decision: &Decision) -> Response {
    app.counters.increment("rate_limit_violations");
    counter!(names::RATE_LIMITED, "action" => action.name()).increment(1);
    Problem::from(Error::RateLimited { retry_after: decision.retry_after }).into_response()
}

/// The headers of the IETF draft (`RateLimit-Policy`, `RateLimit`), and the older ones that most clients read.
fn add_headers(headers: &mut HeaderMap, action: Action, decision: &Decision) {
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
