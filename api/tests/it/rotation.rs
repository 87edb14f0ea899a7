//! Secrets are rotated without logging anybody out and without breaking links in mails.

use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use shared::parking::notifications::Subscription;
use testkit::{Driver, JWT_SECRET, TestApp};

use crate::support::{change, number};

const NEW: &str = "a new key for tests that is as long as it has to be";

/// A process with other secrets on the same database.
async fn with(t: &TestApp, name: &str, value: &str) -> TestApp {
    t.second_process(&[(name, value)]).await
}

async fn status(t: &TestApp, who: &Driver) -> u16 {
    t.get("/auth/sessions", Some(who)).await.status.as_u16()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

#[testkit::both_databases]
async fn sessions_end_when_their_key_is_removed(t: TestApp) {
    let asha = t.driver("Asha").await;
    let added = with(&t, "JWT_SECRET_KEY", &format!("{JWT_SECRET}, {NEW}")).await;
    let signing = with(&t, "JWT_SECRET_KEY", &format!("{NEW},{JWT_SECRET}")).await;
    let removed = with(&t, "JWT_SECRET_KEY", NEW).await;
    let later = signing.log_in(&asha.email).await;
    for (process, of_old, of_new) in
        [(&t, 200, 401), (&added, 200, 200), (&signing, 200, 200), (&removed, 401, 200)]
    {
        assert_eq!((status(process, &asha).await, status(process, &later).await), (of_old, of_new));
    }
    let id = |who: &Driver| decode_header(&who.token).unwrap().kid.unwrap();
    assert_ne!(id(&asha), id(&later));
    assert!(!asha.token.contains(JWT_SECRET));
}

/// A token that names one key and is signed with the other.
#[testkit::both_databases]
async fn a_token_is_verified_with_the_key_that_it_names(t: TestApp) {
    let asha = t.driver("Asha").await;
    let both = with(&t, "JWT_SECRET_KEY", &format!("{NEW},{JWT_SECRET}")).await;
    let ravi = both.driver("Ravi").await;
    let claims: Value = {
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_audience(&["parkade-api"]);
        let key = jsonwebtoken::DecodingKey::from_secret(JWT_SECRET.as_bytes());
        jsonwebtoken::decode(&asha.token, &key, &validation).unwrap().claims
    };
    let signed = |kid: Option<String>, key: &str| {
        let header = Header { kid, ..Header::new(Algorithm::HS256) };
        let token =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.as_bytes())).unwrap();
        Driver { token, ..asha.clone() }
    };
    let id = |who: &Driver| decode_header(&who.token).unwrap().kid;
    for (kid, key, expected) in [
        (id(&asha), JWT_SECRET, 200),
        (id(&ravi), NEW, 200),
        (id(&ravi), JWT_SECRET, 401),
        (id(&asha), NEW, 401),
        (None, JWT_SECRET, 200),
        (Some("unknown".into()), JWT_SECRET, 200),
        (Some("unknown".into()), "a key that nobody has configured anywhere", 401),
        (Some(String::new()), "", 401),
    ] {
        assert_eq!(status(&both, &signed(kid.clone(), key)).await, expected, "{kid:?} {key}");
    }
}

async fn unsubscribe(t: &TestApp, query: &str) -> u16 {
    t.send(t.request(Method::POST, &format!("/unsubscribe?{query}"), None)).await.status.as_u16()
}

#[testkit::both_databases]
async fn links_in_mails_outlive_their_keys(t: TestApp) {
    let asha = t.driver("Asha").await;
    let link = |t: &TestApp| {
        let link = Subscription::Reminders.link(&t.app.config, &t.app.keys, asha.id).unwrap();
        link.split_once('?').unwrap().1.to_owned()
    };
    // As releases before 0.4 signed them.
    let key = hmac(JWT_SECRET.as_bytes(), b"parkade: links that unsubscribe, 1");
    let signature = hex::encode(hmac(&key, format!("reminders:{}", asha.id).as_bytes()));
    let earlier = format!("user_id={}&mails=reminders&signature={signature}", asha.id);
    let rotated = with(&t, "JWT_SECRET_KEY", NEW).await;
    let settled = with(&t, "APP_SECRET", NEW).await;
    let again = with(&t, "APP_SECRET", &format!("{JWT_SECRET},{NEW}")).await;
    assert_eq!(link(&t), link(&rotated), "they do not depend on the key of tokens");
    assert_ne!(link(&t), link(&settled));
    for (what, link) in [("0.3", earlier), ("stored secret", link(&t)), ("APP_SECRET", link(&settled))] {
        for process in [&settled, &again] {
            assert_eq!(unsubscribe(process, &link).await, 200, "{what}");
        }
        assert_eq!(
            unsubscribe(&rotated, &link).await,
            if what == "APP_SECRET" { 404 } else { 200 },
            "{what}"
        );
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM secrets").await, 2);
}

/// A repetition after the upgrade of a request that was made before it.
#[testkit::both_databases]
async fn requests_are_recognised_across_an_upgrade(t: TestApp) {
    let admin = t.admin().await;
    let body =
        json!({ "username": "Asha", "email": "asha@example.com", "password": testkit::PASSWORD }).to_string();
    let create = async |body: &str| {
        let request = t.request(Method::POST, "/users", Some(&admin)).header("idempotency-key", "k");
        t.send(request.header("content-type", "application/json").body(body.to_owned())).await
    };
    let first = create(&body).await.expect(201);
    let earlier = hex::encode(hmac(JWT_SECRET.as_bytes(), format!("POST /users\n{body}").as_bytes()));
    change(&t, "UPDATE idempotency_keys SET request_hash = $1", [earlier.into()]).await.unwrap();
    assert_eq!(create(&body).await.expect(201).body, first.body);
    create(&body.replace("Asha", "Ravi")).await.problem(422, "idempotency_key_reused");
}
