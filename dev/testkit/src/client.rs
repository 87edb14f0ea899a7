//! The HTTP client of the tests: requests by path, answers as JSON, and logged-in users.

use std::time::Duration;

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use shared::parking::accounts;

use crate::{PASSWORD, TestApp};

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its HTTP status.
    pub status: StatusCode,
    /// All headers, by lower-case name.
    pub headers: HeaderMap,
    /// The body as JSON, null if it is not JSON.
    pub body: Value,
    /// The body as received.
    pub text: String,
}

impl Answer {
    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Fails the test unless the answer is a well-formed problem with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        for member in ["type", "title", "detail", "instance", "request_id", "msg", "message"] {
            assert!(self.body[member].is_string(), "{member} in {}", self.text);
        }
        assert_eq!(self.body["msg"], self.body["detail"]);
    }
}

/// A user with an account and a token.
#[derive(Debug, Clone)]
pub struct Driver {
    /// The user's id.
    pub id: i64,
    /// The bearer token of the session.
    pub token: String,
    /// The mail address, for logging in again.
    pub email: String,
}

impl TestApp {
    /// The URL of a path under `/api`, or of a full path if it begins with `//`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        match path.strip_prefix("//") {
            Some(path) => format!("http://{}/{path}", self.address),
            None => format!("http://{}/api{path}", self.address),
        }
    }

    /// A request that the caller may extend before [`Self::send`].
    pub fn request(&self, method: Method, path: &str, who: Option<&Driver>) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match who {
            Some(driver) => request.bearer_auth(&driver.token),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// GET.
    pub async fn get(&self, path: &str, who: Option<&Driver>) -> Answer {
        self.send(self.request(Method::GET, path, who)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, who: Option<&Driver>, body: Value) -> Answer {
        let request = self.request(Method::POST, path, who).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, who: Option<&Driver>, body: Value) -> Answer {
        let request = self.request(Method::PUT, path, who).header("content-type", "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, who: Option<&Driver>, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path, who).json(&body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, who: Option<&Driver>) -> Answer {
        self.send(self.request(Method::DELETE, path, who)).await
    }

    /// Registers a driver over HTTP; the mail address is `name@example.com`.
    pub async fn driver(&self, name: &str) -> Driver {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let body = json!({ "username": name, "email": email, "password": PASSWORD });
        let answer = self.post_hashed("/auth/register", body).await.expect(201);
        self.logged_in(&answer, email)
    }

    /// POST of a password. A busy machine refuses some of many at once, so this tries again, as a client should.
    async fn post_hashed(&self, path: &str, body: Value) -> Answer {
        for _ in 0..50 {
            let answer = self.post(path, None, body.clone()).await;
            if answer.body["code"] != "overloaded" {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.post(path, None, body).await
    }

    /// An administrator, created in the database and logged in over HTTP.
    pub async fn admin(&self) -> Driver {
        let email = "admin@example.com".to_owned();
        if accounts::by_email(&self.app, &email).await.expect("the database").is_none() {
            accounts::create_admin(&self.app, "admin", &email, PASSWORD).await.expect("an administrator");
        }
        self.log_in(&email).await
    }

    /// Logs a user in over HTTP, with [`crate::PASSWORD`].
    pub async fn log_in(&self, email: &str) -> Driver {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self.post_hashed("/auth/login", body).await.expect(200);
        self.logged_in(&answer, email.to_owned())
    }

    fn logged_in(&self, answer: &Answer, email: String) -> Driver {
        Driver {
            id: answer.body["user"]["id"].as_i64().expect("an id"),
            token: answer.body["token"].as_str().expect("a token").to_owned(),
            email,
        }
    }

    /// Creates a lot with `slots` spots at 25.50 an hour and returns its id.
    pub async fn lot(&self, slots: i64) -> i64 {
        let lot = shared::parking::lots::NewLot {
            location_name: "Main Street".into(),
            price: shared::base::money::Money::from_minor(2550),
            address: "1, Main Street".into(),
            pincode: "400001".into(),
            number_of_slots: slots,
        };
        let (by, once) =
            (shared::parking::audit::Actor::COMMAND_LINE, shared::platform::idempotency::Idempotency::none());
        shared::parking::lots::create(&self.app, &by, lot, once).await.expect("a lot").id
    }

    /// Books a spot and returns the reservation's id.
    pub async fn book(&self, driver: &Driver, lot: i64) -> i64 {
        let answer =
            self.post("/booking/book-spot", Some(driver), json!({ "lot_id": lot })).await.expect(201);
        answer.body["reservation"]["id"].as_i64().expect("an id")
    }

    /// Releases the spot of a reservation.
    pub async fn release(&self, driver: &Driver, reservation: i64) -> Answer {
        self.post("/booking/release-spot", Some(driver), json!({ "reservation_id": reservation })).await
    }
}
