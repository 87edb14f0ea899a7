//! One account for all spellings of a name, an address, a phone number and a plate, and one password for all keyboards.

use argon2::{Argon2, PasswordHasher};
use serde_json::{Value, json};
use shared::parking::accounts::password::{self, Priority};
use testkit::{Answer, PASSWORD, TestApp};

use crate::support::{change, number, pointers, text};

async fn register(t: &TestApp, name: &str, email: &str, more: Value) -> Answer {
    let mut form = json!({ "username": name, "email": email, "password": PASSWORD });
    for (member, value) in more.as_object().unwrap() {
        form[member] = value.clone();
    }
    t.post("/auth/register", None, form).await
}

async fn log_in(t: &TestApp, email: &str, password: &str) -> u16 {
    t.post("/auth/login", None, json!({ "email": email, "password": password })).await.status.as_u16()
}

/// Case 10.
#[testkit::both_databases]
async fn a_plate_belongs_to_one_account_in_any_spelling(t: TestApp) {
    let first = register(&t, "Asha", "asha@example.com", json!({ "vehicle_number": "mh 12-AB 1234" })).await;
    assert_eq!(first.expect(201).body["user"]["vehicle_number"], "mh 12-AB 1234", "shown as entered");
    for plate in [
        "MH12AB1234",
        "mh12ab1234",
        "MH 12 AB 1234",
        "MH.12.AB.1234",
        "ＭＨ１２ＡＢ１２３４",
        "MH12\u{200b}AB1234",
        "\u{feff}MH12AB1234",
        "MH१२AB१२३४",
        "MH12AB\u{ad}1234",
    ] {
        let again = register(&t, "Ravi", "ravi@example.com", json!({ "vehicle_number": plate })).await;
        again.problem(409, "vehicle_taken");
    }
    register(&t, "Ravi", "ravi@example.com", json!({ "vehicle_number": "34 İZM 12" })).await.expect(201);
    for plate in ["34 izm 12", "34 IZM 12", "34ızm12"] {
        let again = register(&t, "Can", "can@example.com", json!({ "vehicle_number": plate })).await;
        again.problem(409, "vehicle_taken");
    }
    for nothing in ["--", "?", "\u{3164}"] {
        let wrong = register(&t, "Can", "can@example.com", json!({ "vehicle_number": nothing })).await;
        assert_eq!(pointers(&wrong), ["/vehicle_number"]);
    }
}

/// Case 10.
#[testkit::both_databases]
async fn a_phone_number_belongs_to_one_account_in_any_spelling(t: TestApp) {
    let first = register(&t, "Asha", "asha@example.com", json!({ "phone_number": "098765 43210" })).await;
    assert_eq!(first.expect(201).body["user"]["phone_number"], "+919876543210");
    for phone in [
        "+919876543210",
        "+91 98765 43210",
        "00919876543210",
        "9876543210",
        "(098765) 43210",
        "919876543210",
        "+91 (0) 98765-43210",
        "tel:+91-98765-43210",
        "＋９１９８７６５４３２１０",
        "९८७६५४३२१०",
        "\u{202a}+91 98765 43210\u{202c}",
    ] {
        let again = register(&t, "Ravi", "ravi@example.com", json!({ "phone_number": phone })).await;
        again.problem(409, "phone_taken");
    }
    for (phone, stored) in [("+91 5000000001", "+915000000001"), ("+49 (30) 1234.567", "+49301234567")] {
        let name = format!("r{}", stored.len());
        let possible =
            register(&t, &name, &format!("{name}@example.com"), json!({ "phone_number": phone })).await;
        assert_eq!(possible.expect(201).body["user"]["phone_number"], stored, "possible, if not in use");
    }
    for phone in ["123", "+999 123456789", "9876543210 ext. 5", "call me", "9876543210, 9876543211"] {
        let wrong = register(&t, "Can", "can@example.com", json!({ "phone_number": phone })).await;
        assert_eq!(pointers(&wrong), ["/phone_number"], "{phone}");
    }
    let german = t.second_process(&[("PHONE_COUNTRY", "DE")]).await;
    let there = register(&german, "Uwe", "uwe@example.com", json!({ "phone_number": "0171 1234567" })).await;
    assert_eq!(there.expect(201).body["user"]["phone_number"], "+491711234567");
}

/// Case 11.
#[testkit::both_databases]
async fn a_name_belongs_to_one_account_in_any_spelling(t: TestApp) {
    for (names, n) in [
        (&["José", "Jose\u{301}", "JOSÉ", " jose\u{301} ", "ｊｏｓé"][..], 1),
        (&["Ann Miller", "ann  miller", "ANN\u{a0}MILLER"], 2),
        (&["O'Brien", "o’brien"], 3),
        (&["İrem", "IREM", "irem"], 4),
        (&["Straße", "STRASSE"], 5),
    ] {
        register(&t, names[0], &format!("first{n}@example.com"), json!({})).await.expect(201);
        for name in &names[1..] {
            let again = register(&t, name, &format!("second{n}@example.com"), json!({})).await;
            again.problem(409, "username_taken");
        }
    }
    let admin = t.admin().await;
    let found = t.get("/users?username=jose%CC%81", Some(&admin)).await.expect(200);
    assert_eq!(found.body["users"][0]["username"], "José");
}

/// Case 11.
#[testkit::both_databases]
async fn a_password_is_the_same_from_every_keyboard(t: TestApp) {
    const COMPOSED: &str = "Pässwörter1";
    const DECOMPOSED: &str = "Pa\u{308}sswo\u{308}rter1";
    register(&t, "Jo", "jo@example.com", json!({ "password": COMPOSED })).await.expect(201);
    for typed in [COMPOSED, DECOMPOSED, "Ｐässwörter1"] {
        assert_eq!(log_in(&t, "jo@example.com", typed).await, 200, "{typed}");
    }
    for wrong in ["Passworter1", "Pässwörter1 ", "pässwörter1"] {
        assert_eq!(log_in(&t, "jo@example.com", wrong).await, 401, "{wrong}");
    }
    // A release before 0.3 hashed what was typed.
    let old = Argon2::default().hash_password_with_salt(DECOMPOSED.as_bytes(), b"sixteen bytes ok").unwrap();
    change(&t, "UPDATE users SET password_hash = $1", [old.to_string().into()]).await.unwrap();
    assert_eq!(log_in(&t, "jo@example.com", COMPOSED).await, 401, "not yet");
    assert_eq!(log_in(&t, "jo@example.com", DECOMPOSED).await, 200);
    assert_eq!(log_in(&t, "jo@example.com", COMPOSED).await, 200, "hashed again at the login before");
}

/// Case 12.
#[testkit::both_databases]
async fn an_address_belongs_to_one_account_in_any_spelling(t: TestApp) {
    let ann = register(&t, "Ann", " Ann@Bücher.example", json!({})).await.expect(201);
    assert_eq!(ann.body["user"]["email"], "ann@xn--bcher-kva.example");
    for email in [
        "ann@bücher.example",
        "ann@xn--bcher-kva.example",
        "ANN@BÜCHER.EXAMPLE",
        "ann@bu\u{308}cher.example",
        "ann@bücher.example.",
        "ann＠bücher。example",
    ] {
        register(&t, "Bob", email, json!({})).await.problem(409, "email_taken");
        assert_eq!(log_in(&t, email, PASSWORD).await, 200, "{email}");
    }
    let _worker = t.work();
    t.eventually("the mail is sent", async || !t.mails().is_empty()).await;
    assert_eq!(t.mails()[0].to_address, "ann@xn--bcher-kva.example");
    let refused = register(&t, "Jürgen", "jürgen@example.com", json!({})).await;
    assert_eq!(pointers(&refused), ["/email"]);
    assert!(refused.text.contains("ASCII characters before the @"), "{}", refused.text);
    for email in ["ann@exa_mple.com", "ann@[127.0.0.1]", "ann@xn--a.example", "ann@-a.example", "ann@a..b"] {
        assert_eq!(pointers(&register(&t, "Bob", email, json!({})).await), ["/email"], "{email}");
    }
}

/// Case 36.
#[testkit::both_databases]
async fn a_name_carries_no_message(t: TestApp) {
    for name in [
        "Your account is locked, see https://evil.example",
        "see evil.example",
        "www.evil.example now",
        "Ann/Miller",
        "ann@evil.example",
        "Ann\nMiller",
        "Ann\u{202e}x",
        "Ann\u{200b}",
        "call 0800 123456",
        "<b>Ann</b>",
        "evil．example",
        &"x".repeat(81),
    ] {
        let refused = register(&t, name, "victim@example.com", json!({})).await;
        assert_eq!(pointers(&refused), ["/username"], "{name}");
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM jobs").await, 0, "and nobody gets a mail");
    for (n, name) in
        ["O'Brien", "Jean-Luc", "José María", "李小龙", "Dr. Ann Miller Jr.", "driver_01", "K.Ramesh"]
            .iter()
            .enumerate()
    {
        let accepted = register(&t, name, &format!("n{n}@example.com"), json!({})).await.expect(201);
        assert_eq!(accepted.body["user"]["username"], *name);
    }
}

#[testkit::both_databases]
async fn mails_do_not_repeat_a_message_in_an_old_name(t: TestApp) {
    let asha = t.driver("Asha").await;
    let name = "Your account is locked, see https://evil.example";
    change(&t, "UPDATE users SET username = $2 WHERE id = $1", [asha.id.into(), name.into()]).await.unwrap();
    let _worker = t.work();
    t.eventually("the mail is sent", async || !t.mails().is_empty()).await;
    let mail = &t.mails()[0];
    assert!(mail.text.contains("Hello driver,"), "{}", mail.text);
    assert!(![&mail.to_name, &mail.subject, &mail.text, &mail.html].iter().any(|text| text.contains("evil")));
}

#[testkit::both_databases]
async fn guessable_passwords_are_refused_with_the_reason(t: TestApp) {
    for password in ["password", "Password123!", "asha.miller", "AshaMiller1", "MH12AB1234", "qwertyuiop"] {
        let more = json!({ "password": password, "vehicle_number": "MH12AB1234" });
        let refused = register(&t, "Asha Miller", "asha.miller@example.com", more).await;
        assert_eq!(pointers(&refused), ["/password"], "{password}");
        assert!(refused.text.contains("is too easy to guess"), "{}", refused.text);
    }
    let asha = t.driver("Asha Miller").await;
    let me = format!("/users/{}", asha.id);
    let set = async |password: &str| t.put(&me, Some(&asha), json!({ "password": password })).await;
    assert_eq!(pointers(&set("ashamiller1").await), ["/password"]);
    // The current one stays, although a new one like it would be refused.
    let weak = password::hash(Priority::Other, "qwertyuiop".into()).await.unwrap();
    change(&t, "UPDATE users SET password_hash = $1", [weak.into()]).await.unwrap();
    set("qwertyuiop").await.expect(200);
    assert_eq!(log_in(&t, &asha.email, "qwertyuiop").await, 200);
    let admin =
        shared::parking::accounts::create_admin(&t.app, "Boss", "boss@example.com", "parking123").await;
    assert!(admin.unwrap_err().to_string().starts_with("password is too easy to guess"));
}

/// As a form does that knows only one vehicle and sends every field back.
#[testkit::both_databases]
async fn unchanged_fields_are_not_judged_again(t: TestApp) {
    let asha = t.driver("Asha").await;
    let old = "UPDATE users SET username = 'asha@home/1', email = 'äsha@example.com', email_key = 'äsha@example.com',
        mail_key = NULL, phone_number = '123', vehicle_number = '--' WHERE id = $1";
    change(&t, old, [asha.id.into()]).await.unwrap();
    let me = format!("/users/{}", asha.id);
    let form = json!({ "username": "asha@home/1", "email": "äsha@example.com", "phone_number": "123", "vehicle_number": "--" });
    t.put(&me, Some(&asha), form).await.expect(200);
    let changed = json!({ "username": "asha@home/1", "email": "äsha@example.com", "phone_number": "124", "vehicle_number": "--" });
    assert_eq!(pointers(&t.put(&me, Some(&asha), changed).await), ["/phone_number"]);
    assert_eq!(log_in(&t, "Äsha@example.com", PASSWORD).await, 200, "logs in as before");
}

#[testkit::both_databases]
async fn a_deleted_account_frees_its_keys(t: TestApp) {
    let more = json!({ "vehicle_number": "MH12AB1234", "phone_number": "9876543210" });
    let asha = register(&t, "Asha", "asha@bücher.example", more.clone()).await.expect(201);
    let admin = t.admin().await;
    t.delete(&format!("/users/{}", asha.body["user"]["id"]), Some(&admin)).await.expect(200);
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM vehicles").await, 0);
    register(&t, "ASHA", "asha@xn--bcher-kva.example", more).await.expect(201);
    let key = text(&t, "SELECT COALESCE(MAX(plate_key), '') AS t FROM vehicles").await;
    assert_eq!(key, "MH12AB1234");
}
