//! The kit itself works on both databases.

#[testkit::both_databases]
async fn a_lot_has_all_its_spots(t: testkit::TestApp) {
    let lot = t.lot(3).await;
    let answer = t.get("/parking-lots", None).await.expect(200);
    assert_eq!(answer.body["lots"][0]["id"], lot);
    assert_eq!(answer.body["lots"][0]["available_slots"], 3);
}

#[testkit::both_databases]
async fn the_main_job(t: testkit::TestApp) {
    let _worker = t.work();
    let lot = t.lot(1).await;
    let driver = t.driver("Asha").await;
    let reservation = t.book(&driver, lot).await;
    t.release(&driver, reservation).await.expect(200);
    t.eventually("three mails are sent", || async { t.mails().len() == 3 }).await;
}
