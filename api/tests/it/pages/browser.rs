//! A browser without scripts: it keeps cookies and sends forms with their tokens.

use std::collections::BTreeMap;

use reqwest::{Client, Method, StatusCode, header::HeaderMap, redirect};
use testkit::{Driver, PASSWORD, TestApp};

pub(super) struct Browser<'a> {
    t: &'a TestApp,
    http: Client,
    pub(super) cookies: BTreeMap<String, String>,
}

/// An answer, without following it elsewhere.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Where the answer leads.
    #[track_caller]
    pub(super) fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    /// The token of its forms.
    pub(super) fn token(&self) -> String {
        let start = self.text.split_once("name=\"csrf\" value=\"").expect("a form with a token").1;
        start.split('"').next().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn has(&self, text: &str) {
        assert!(self.text.contains(text), "{text} is not in {}", self.text);
    }
}

impl<'a> Browser<'a> {
    pub(super) fn new(t: &'a TestApp) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { t, http, cookies: BTreeMap::new() }
    }

    /// With the session of a driver who logged in elsewhere.
    pub(super) fn of(t: &'a TestApp, driver: &Driver) -> Self {
        let mut browser = Self::new(t);
        browser.cookies.insert("parkade_session".into(), driver.token.clone());
        browser
    }

    pub(super) async fn send(&mut self, method: Method, path: &str, body: Option<String>) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request =
            self.http.request(method, self.t.url(&format!("/{path}"))).header("accept", "text/html");
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all("set-cookie") {
            let (pair, flags) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if flags.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status, headers, text: response.text().await.unwrap() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, None).await
    }

    /// Sends a form as it is.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = reqwest::Url::parse_with_params("http://x", fields).unwrap();
        self.send(Method::POST, path, Some(body.query().unwrap_or_default().to_owned())).await
    }

    /// Sends a form of the page at `from`, with its token.
    pub(super) async fn submit(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(from).await.expect(200).token();
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", &*token)]).collect();
        self.post(path, &fields).await
    }

    pub(super) async fn log_in(&mut self, email: &str) -> Page {
        self.submit("/ui/login", "/ui/login", &[("email", email), ("password", PASSWORD)]).await
    }
}
