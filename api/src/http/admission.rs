//! Who is let in when more come than can be answered: nobody waits in line, the rest hear at once when to come again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::Uri,
    middleware::Next,
    response::{IntoResponse, Response},
};
use shared::{app::App, parking::accounts::password, platform::metrics::HTTP_SHED};

use crate::http::{
    extract,
    problem::{self, Problem},
    stack,
};

/// While nine of ten requests are answered within this time, more are let in at once; otherwise fewer.
const GOAL: Duration = Duration::from_millis(100);

/// That many are let in however long it takes them.
const FEWEST: usize = 12;

/// How often it is looked at how long requests take, and at least how many of them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_AT: usize = 10;

/// The log tells of refusals no more often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The doors of a process.
#[derive(Debug)]
pub(crate) struct Gates {
    /// Logins and registrations wait for a core to hash passwords. How long says nothing about the others, and a flood of
    /// them must not take everybody's place.
    passwords: Gate,
    others: Gate,
}

impl Gates {
    pub(crate) fn new(app: &App) -> Arc<Self> {
        let (most, goal) = match app.config.max_requests {
            0 => (usize::MAX, Duration::MAX),
            most => (most, GOAL),
        };
        let passwords = Gate::new(password::capacity().min(most), Duration::MAX);
        Arc::new(Self { passwords, others: Gate::new(most, goal) })
    }

    /// The door that leads to this address; what orchestrators ask has none.
    fn towards(&self, uri: &Uri) -> Option<&Gate> {
        let path = uri.path();
        match path.strip_prefix("/api").unwrap_or(path) {
            "/auth/login" | "/auth/register" => Some(&self.passwords),
            path if path.starts_with("/health") => None,
            _ => Some(&self.others),
        }
    }
}

/// Turns away whom there is no room for, before anything else is done about the request.
pub(crate) async fn turn_away(State(gates): State<Arc<Gates>>, request: Request, next: Next) -> Response {
    if gates.towards(request.uri()).is_none_or(|gate| !gate.is_full()) {
        return next.run(request).await;
    }
    let id = stack::request_id(request.headers());
    let mut response = Problem::overloaded().into_response();
    problem::complete(&mut response, request.uri().path(), &id);
    stack::sign(&mut response, &id);
    response
}

/// Lets a request in while there is room. Its body is read first, so that one who sends it slowly takes nobody's place; a
/// stream has left its place when it begins.
pub(crate) async fn admit(State(gates): State<Arc<Gates>>, request: Request, next: Next) -> Response {
    let Some(gate) = gates.towards(request.uri()) else { return next.run(request).await };
    let request = match with_whole_body(request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let Some(_place) = gate.enter() else { return Problem::overloaded().into_response() };
    next.run(request).await
}

async fn with_whole_body(request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    Ok(Request::from_parts(parts, Body::from(extract::read_body(body).await?)))
}

/// Room for some requests at once: as many as can be answered soon.
#[derive(Debug)]
struct Gate {
    most: usize,
    goal: Duration,
    limit: AtomicUsize,
    inside: AtomicUsize,
    lately: Mutex<Lately>,
    refused: Mutex<Refused>,
}

/// How long requests took since the last look.
#[derive(Debug)]
struct Lately {
    since: Instant,
    times: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Refused {
    count: u64,
    told: Option<Instant>,
}

/// A request that was let in.
struct Place<'a> {
    gate: &'a Gate,
    since: Instant,
}

impl Gate {
    fn new(most: usize, goal: Duration) -> Self {
        Self {
            most,
            goal,
            limit: most.into(),
            inside: 0.into(),
            lately: Mutex::new(Lately { since: Instant::now(), times: Vec::new() }),
            refused: Mutex::default(),
        }
    }

    fn is_full(&self) -> bool {
        let is_full = self.inside.load(Relaxed) >= self.limit.load(Relaxed);
        if is_full {
            self.tell();
        }
        is_full
    }

    fn enter(&self) -> Option<Place<'_>> {
        let limit = self.limit.load(Relaxed);
        let entered =
            self.inside.fetch_update(Relaxed, Relaxed, |inside| (inside < limit).then_some(inside + 1));
        if entered.is_err() {
            self.tell();
        }
        entered.ok().map(|_| Place { gate: self, since: Instant::now() })
    }

    /// Whoever calls this turns somebody away.
    fn tell(&self) {
        metrics::counter!(HTTP_SHED).increment(1);
        let mut refused = locked(&self.refused);
        refused.count += 1;
        if refused.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            let (inside, most) = (self.inside.load(Relaxed), self.most);
            tracing::warn!(refused = refused.count, inside, most, "more requests than can be answered soon");
            *refused = Refused { count: 0, told: Some(Instant::now()) };
        }
    }

    /// Now and then, lets fewer in if it took them too long, else more.
    fn adapt(&self, took: Duration) {
        let mut lately = locked(&self.lately);
        lately.times.push(took);
        if lately.since.elapsed() < LOOK_EVERY || lately.times.len() < LOOK_AT {
            return;
        }
        let slow = (lately.times.len() - 1) * 9 / 10;
        let is_slow = *lately.times.select_nth_unstable(slow).1 > self.goal;
        let limit = self.limit.load(Relaxed);
        let next = if is_slow { limit - limit / 4 } else { limit.saturating_add((limit / 8).max(1)) };
        self.limit.store(next.clamp(FEWEST.min(self.most), self.most), Relaxed);
        lately.times.clear();
        lately.since = Instant::now();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(1, Relaxed);
        self.gate.adapt(self.since.elapsed());
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(gate: &Gate, took: Duration) {
        locked(&gate.lately).since -= LOOK_EVERY;
        (0..LOOK_AT).for_each(|_| gate.adapt(took));
    }

    #[test]
    fn slow_requests_lower_the_limit_and_fast_ones_raise_it() {
        let gate = Gate::new(64, GOAL);
        let limit = || gate.limit.load(Relaxed);
        look(&gate, GOAL * 2);
        assert_eq!(limit(), 48);
        (0..20).for_each(|_| look(&gate, GOAL * 2));
        assert_eq!(limit(), FEWEST);
        look(&gate, GOAL);
        assert_eq!(limit(), FEWEST + 1);
        (0..40).for_each(|_| look(&gate, GOAL));
        assert_eq!(limit(), 64);
    }

    #[test]
    fn one_slow_request_in_ten_changes_nothing() {
        let gate = Gate::new(64, GOAL);
        gate.limit.store(40, Relaxed);
        locked(&gate.lately).times = vec![GOAL * 9];
        look(&gate, GOAL);
        assert_eq!(gate.limit.load(Relaxed), 45);
    }

    #[test]
    fn leaving_frees_a_place() {
        let gate = Gate::new(2, GOAL);
        let (first, _second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.is_full() && gate.enter().is_none());
        drop(first);
        assert!(!gate.is_full() && gate.enter().is_some());
    }
}
