//! Forged, altered and expired tokens.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Driver, JWT_SECRET, TestApp};

use crate::support::change;

fn claims(token: &str) -> Value {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["parkade-api"]);
    let key = DecodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::decode(token, &key, &validation).expect("a good token").claims
}

fn signed(claims: &Value, algorithm: Algorithm, key: &str) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// Signed tokens whose header names another key, in each of the three possible ways.
fn naming_a_key(claims: &Value, algorithm: Algorithm, key: &str) -> [String; 3] {
    let jwk = json!({ "kty": "oct", "k": "YWJj", "alg": "HS256" });
    let [by_kid, by_url, inline] = [(); 3].map(|()| Header::new(algorithm));
    let headers = [
        Header { kid: Some("../../dev/null".into()), ..by_kid },
        Header {
            jku: Some("https://evil.example/keys".into()),
            x5u: Some("https://evil.example/x".into()),
            ..by_url
        },
        Header { jwk: Some(serde_json::from_value(jwk).unwrap()), ..inline },
    ];
    headers.map(|header| {
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
    })
}

/// The payload under another header, with an HS256 signature.
fn resigned(header: &str, payload: &str) -> String {
    let message = format!("{header}.{payload}");
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn with(claims: &Value, name: &str, value: Value) -> String {
    let mut claims = claims.clone();
    claims[name] = value;
    signed(&claims, Algorithm::HS256, JWT_SECRET)
}

fn without(claims: &Value, name: &str) -> String {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    signed(&claims, Algorithm::HS256, JWT_SECRET)
}

async fn status(t: &TestApp, token: &str) -> u16 {
    let request =
        t.request(Method::GET, "/auth/sessions", None).header("authorization", format!("Bearer {token}"));
    let answer = t.send(request).await;
    if answer.status != 200 {
        answer.problem(401, "unauthenticated");
    }
    answer.status.as_u16()
}

/// Defect 12.
#[testkit::both_databases]
async fn forged_tokens_are_rejected(t: TestApp) {
    let asha = t.driver("Asha").await;
    let ravi = t.driver("Ravi").await;
    let good = claims(&asha.token);
    assert_eq!(
        status(&t, &signed(&good, Algorithm::HS256, JWT_SECRET)).await,
        200,
        "a correctly signed token is accepted"
    );

    let now = t.app.clock.now();
    let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"; // {"alg":"RS256","typ":"JWT"}
    let es256 = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9"; // {"alg":"ES256","typ":"JWT"}
    let [header, payload, signature] = asha.token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let of_ravi = ravi.token.split('.').nth(1).unwrap();
    let forged = [
        ("no algorithm", format!("{none}.{payload}.")),
        ("no algorithm, with a signature", format!("{none}.{payload}.{signature}")),
        ("RS256 by name, signed by the shared key", resigned(rs256, payload)),
        ("ES256 by name, signed by the shared key", resigned(es256, payload)),
        ("no algorithm by name, signed by the shared key", resigned(none, payload)),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("another's claims", format!("{header}.{of_ravi}.{signature}")),
        ("another key", signed(&good, Algorithm::HS256, "a key that an attacker has chosen")),
        ("an empty key", signed(&good, Algorithm::HS256, "")),
        ("HS384", signed(&good, Algorithm::HS384, JWT_SECRET)),
        ("HS512", signed(&good, Algorithm::HS512, JWT_SECRET)),
        ("another issuer", with(&good, "iss", json!("somebody"))),
        ("another audience", with(&good, "aud", json!("parkade-worker"))),
        ("issued in the future", with(&good, "iat", json!((now + TimeDelta::minutes(5)).timestamp()))),
        ("expired", with(&good, "exp", json!((now - TimeDelta::seconds(1)).timestamp()))),
        ("expires never", with(&good, "exp", json!(null))),
        ("somebody else", with(&good, "sub", json!(ravi.id.to_string()))),
        ("nobody", with(&good, "sub", json!(""))),
        ("a number for a name", with(&good, "sub", json!(asha.id))),
        ("another's session", with(&good, "sid", claims(&ravi.token)["sid"].clone())),
        ("no such session", with(&good, "sid", json!("0190a0a0-0000-7000-8000-000000000000"))),
        ("no session", with(&good, "sid", json!("7"))),
        ("without issuer", without(&good, "iss")),
        ("without audience", without(&good, "aud")),
        ("without end", without(&good, "exp")),
        ("without subject", without(&good, "sub")),
        ("without session", without(&good, "sid")),
        ("cut short", asha.token[..asha.token.len() - 2].to_owned()),
        ("garbage", "garbage".to_owned()),
        ("dots", "..".to_owned()),
        ("the user's id", asha.id.to_string()),
        ("null", "null".to_owned()),
        ("very long", "x".repeat(4_000)),
    ];
    for (what, token) in forged {
        assert_eq!(status(&t, &token).await, 401, "{what}");
    }
    for token in naming_a_key(&good, Algorithm::HS256, "abc").into_iter().chain(naming_a_key(
        &good,
        Algorithm::HS256,
        "",
    )) {
        assert_eq!(status(&t, &token).await, 401, "a key named by the token is ignored");
    }
    for token in naming_a_key(&good, Algorithm::HS256, JWT_SECRET) {
        assert_eq!(status(&t, &token).await, 200, "key headers do not invalidate a good token");
    }
    assert_eq!(status(&t, &asha.token).await, 200);
}

#[testkit::both_databases]
async fn token_without_a_session_row_is_rejected(t: TestApp) {
    let asha = t.driver("Asha").await;
    change(&t, "DELETE FROM sessions WHERE user_id = $1", [asha.id.into()]).await.unwrap();
    assert_eq!(status(&t, &asha.token).await, 401);
}

#[testkit::both_databases]
async fn admin_claim_in_a_token_is_ignored(t: TestApp) {
    let asha = t.driver("Asha").await;
    let token = with(&claims(&asha.token), "role", json!("admin"));
    let asha = Driver { token, ..asha };
    t.post("/parking-lots", Some(&asha), json!({})).await.problem(403, "forbidden");
}

#[testkit::both_databases]
async fn tokens_of_ended_sessions_are_rejected(t: TestApp) {
    let (admin, asha, ravi, meera) =
        (t.admin().await, t.driver("Asha").await, t.driver("Ravi").await, t.driver("Meera").await);
    for who in [&asha, &ravi, &meera] {
        assert_eq!(status(&t, &who.token).await, 200);
    }
    t.post("/auth/logout", Some(&asha), json!({})).await.expect(200);
    let session =
        t.get("/auth/sessions", Some(&ravi)).await.body["sessions"][0]["id"].as_str().unwrap().to_owned();
    t.delete(&format!("/auth/sessions/{session}"), Some(&ravi)).await.expect(200);
    t.delete(&format!("/users/{}", meera.id), Some(&admin)).await.expect(200);
    for (what, who) in [("logged out", &asha), ("an ended session", &ravi), ("a deleted user", &meera)] {
        assert_eq!(status(&t, &who.token).await, 401, "{what}");
        // Signing the claims again does not help.
        let again = signed(&claims(&who.token), Algorithm::HS256, JWT_SECRET);
        assert_eq!(status(&t, &again).await, 401, "{what}");
    }
}
