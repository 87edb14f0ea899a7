//! The delivery log of messages, as administrators see it.

use serde_json::Value;
use testkit::{Driver, TestApp};

/// The keys in a list across all pages, and the size of each page.
async fn listed(t: &TestApp, query: &str, who: &Driver) -> (Vec<String>, Vec<usize>) {
    let (mut path, mut keys, mut parts) = (format!("/admin/deliveries?{query}"), Vec::new(), Vec::new());
    loop {
        let answer = t.get(&path, Some(who)).await.expect(200);
        let deliveries = answer.body["deliveries"].as_array().unwrap();
        keys.extend(deliveries.iter().map(|delivery| delivery["key"].as_str().unwrap().to_owned()));
        parts.push(deliveries.len());
        let Some(link) = answer.headers.get("link") else { return (keys, parts) };
        let link = link.to_str().unwrap();
        path = link.strip_prefix("</api").unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
}

#[testkit::both_databases]
async fn admins_see_delivery_states_without_addresses(t: TestApp) {
    let admin = t.admin().await;
    assert_eq!(listed(&t, "", &admin).await, (vec![], vec![0]));
    let worker = t.work();
    let (asha, lot) = (t.driver("Asha").await, t.lot(1).await);
    t.eventually("the welcome mail is sent", || async { t.mails().len() == 1 }).await;
    let reservation = t.book(&asha, lot).await;
    t.eventually("the confirmation is sent", || async { t.mails().len() == 2 }).await;
    t.release(&asha, reservation).await.expect(200);
    t.eventually("the receipt is sent", || async { listed(&t, "state=sent", &admin).await.0.len() == 3 })
        .await;

    let (welcome, confirmation, receipt) = (
        format!("welcome:{}", asha.id),
        format!("confirmation:{reservation}"),
        format!("receipt:{reservation}"),
    );
    let all = vec![receipt.clone(), confirmation, welcome];
    assert_eq!(listed(&t, "", &admin).await, (all.clone(), vec![3]));
    assert_eq!(listed(&t, "limit=1", &admin).await, (all.clone(), vec![1, 1, 1]));
    assert_eq!(listed(&t, "state=sent&limit=2", &admin).await, (all, vec![2, 1]));
    assert_eq!(listed(&t, "kind=receipt", &admin).await, (vec![receipt], vec![1]));
    assert_eq!(listed(&t, "state=ambiguous", &admin).await, (vec![], vec![0]));
    assert_eq!(listed(&t, "kind=receipt&state=refused", &admin).await, (vec![], vec![0]));

    let answer = t.get("/admin/deliveries?kind=receipt", Some(&admin)).await.expect(200);
    let delivery = &answer.body["deliveries"][0];
    for (name, value) in [
        ("channel", Value::from("mail")),
        ("state", "sent".into()),
        ("attempts", 1.into()),
        ("resent", false.into()),
        ("user_id", asha.id.into()),
        ("error", Value::Null),
    ] {
        assert_eq!(delivery[name], value, "{name}");
    }
    let everything = t.get("/admin/deliveries", Some(&admin)).await.expect(200).text;
    assert!(!everything.contains("asha@") && !everything.contains("example.com"), "{everything}");
    worker.stop().await;
}

#[testkit::both_databases]
async fn unknown_delivery_filter_is_named(t: TestApp) {
    let admin = t.admin().await;
    for wrong in ["state=lost", "state=", "kind=Receipt", "kind=", "kind=a%00", "limit=0", "cursor=7"] {
        t.get(&format!("/admin/deliveries?{wrong}"), Some(&admin)).await.problem(400, "invalid");
    }
    let asha = t.driver("Asha").await;
    t.get("/admin/deliveries", Some(&asha)).await.problem(403, "forbidden");
    t.get("/admin/deliveries", None).await.problem(401, "unauthenticated");
}
