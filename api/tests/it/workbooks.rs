//! Exports as workbooks, and the options of exports as CSV.

use std::{io::Cursor, path::PathBuf, process::Command};

use calamine::{Data, DataType, Reader, Xlsx};
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::base::clock::Clock;
use testkit::{Driver, TestApp};

use crate::{
    exports::{exported, finished, register, request, stay},
    support::{noon, number, pointers},
};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Prints the sheets of the workbook at `argv[1]` as JSON: each cell as its type, text and number format.
const SCRIPT: &str = "
import json, sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
cell = lambda c: [type(c.value).__name__, str(c.value), c.number_format, c.data_type]
print(json.dumps({sheet.title: [[cell(c) for c in row] for row in sheet.iter_rows()] for sheet in book.worksheets}))
";

/// Requests a workbook, waits for it and downloads it; returns its id and content.
async fn workbook(t: &TestApp, who: &Driver, mut options: Value) -> (String, Vec<u8>) {
    options["format"] = "xlsx".into();
    let id = request(t, who, options).await;
    finished(t, who, &id).await;
    let download = t.request(Method::GET, &format!("/export/download/{id}"), Some(who));
    let answer = download.send().await.unwrap().error_for_status().unwrap();
    (id, answer.bytes().await.unwrap().to_vec())
}

/// The rows of the first sheet, with the header.
fn rows(content: &[u8]) -> Vec<Vec<Data>> {
    let mut book = Xlsx::new(Cursor::new(content)).unwrap();
    assert_eq!(book.sheet_names(), ["Reservations"]);
    let sheet = book.worksheet_range("Reservations").unwrap();
    sheet.rows().map(<[Data]>::to_vec).collect()
}

fn texts(row: &[Data]) -> Vec<String> {
    row.iter().map(ToString::to_string).collect()
}

/// A lot whose texts are formulas, and a completed stay that was paid with one.
async fn hostile_stay(t: &TestApp, clock: &Clock) -> Driver {
    let admin = t.admin().await;
    let body = json!({
        "location_name": "=HYPERLINK(\"http://x\",\"y\")", "price": 25.5, "pincode": "1", "number_of_slots": 1,
        "address": "＝1+1",
    });
    let answer = t.post("/parking-lots", Some(&admin), body).await.expect(201);
    let asha = register(t, "Asha", "0012345678901234567").await;
    stay(t, clock, &asha, answer.body["lot"]["id"].as_i64().unwrap(), 90, "x;=1+1;").await;
    asha
}

#[testkit::both_databases]
async fn workbook_has_dates_numbers_and_text(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = hostile_stay(&t, &clock).await;
    let (_, content) = workbook(&t, &asha, json!({})).await;
    let rows = rows(&content);
    assert_eq!(
        texts(&rows[0]),
        [
            "reservation id",
            "lot",
            "address",
            "spot",
            "start",
            "end",
            "duration in hours",
            "cost",
            "currency",
            "status",
            "payment method",
            "transaction id",
            "vehicle",
        ]
    );
    let row = &rows[1];
    let text =
        |column: usize| row[column].get_string().unwrap_or_else(|| panic!("{column}: {:?}", row[column]));
    // A workbook says which cells are formulas, so text needs no apostrophe.
    assert_eq!((text(1), text(2), text(11)), ("=HYPERLINK(\"http://x\",\"y\")", "＝1+1", "x;=1+1;"));
    assert_eq!((text(8), text(9), text(10), text(12)), ("INR", "completed", "Card", "0012345678901234567"));
    assert!(text(0).parse::<i64>().is_ok(), "an id is text");
    let number =
        |column: usize| row[column].get_float().unwrap_or_else(|| panic!("{column}: {:?}", row[column]));
    assert_eq!((number(3), number(6), number(7)), (1.0, 1.5, 51.0));
    let time = |column: usize| match &row[column] {
        Data::DateTime(time) => time.as_datetime().unwrap().to_string(),
        other => panic!("{column}: {other:?}"),
    };
    assert_eq!(
        (time(4), time(5)),
        ("2026-11-20 17:30:00".into(), "2026-11-20 19:00:00".into()),
        "in Kolkata"
    );
    assert_eq!(rows.len(), 2);
}

/// The Python of `cargo xtask test`, with the package openpyxl.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PARKADE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("skipped: run `cargo xtask test`, which installs openpyxl");
    }
    python
}

#[testkit::both_databases]
async fn workbook_opens_in_another_reader(t: TestApp) {
    let Some(python) = python() else { return };
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = hostile_stay(&t, &clock).await;
    let (_, content) = workbook(&t, &asha, json!({})).await;
    let path = t.folder().join("book.xlsx");
    std::fs::write(&path, content).unwrap();
    let output = Command::new(python).args(["-W", "error", "-c", SCRIPT]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let book: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = book["Reservations"][1].as_array().unwrap();
    let amount = "[$INR] #,##0.00";
    for (column, cell) in [
        (1, json!(["str", "=HYPERLINK(\"http://x\",\"y\")", "@", "s"])),
        (2, json!(["str", "＝1+1", "@", "s"])),
        (3, json!(["int", "1", "0", "n"])),
        (4, json!(["datetime", "2026-11-20 17:30:00", "yyyy-mm-dd hh:mm:ss", "d"])),
        (5, json!(["datetime", "2026-11-20 19:00:00", "yyyy-mm-dd hh:mm:ss", "d"])),
        (6, json!(["float", "1.5", "0.00", "n"])),
        (7, json!(["int", "51", amount, "n"])),
        (11, json!(["str", "x;=1+1;", "@", "s"])),
        (12, json!(["str", "0012345678901234567", "@", "s"])),
    ] {
        assert_eq!(row[column], cell, "column {column}");
    }
    assert_eq!((row[0][0].as_str(), row[0][2].as_str()), (Some("str"), Some("@")), "an id is text");
    assert_eq!(book["Reservations"].as_array().unwrap().len(), 2);
}

#[testkit::both_databases]
async fn running_stay_has_empty_cells_in_a_workbook(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    t.book(&asha, t.lot(1).await).await;
    let (_, content) = workbook(&t, &asha, json!({})).await;
    let row = &rows(&content)[1];
    for column in [5, 6, 10, 11] {
        assert_eq!(row[column], Data::Empty, "column {column}");
    }
    assert_eq!(row[7], Data::Float(0.0));
}

#[testkit::both_databases]
async fn workbook_is_described_and_served_as_one(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = hostile_stay(&t, &clock).await;
    let (id, content) = workbook(&t, &asha, json!({})).await;
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    let export = &status.body["export"];
    let sha256 =
        Sha256::digest(&content).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    for (field, value) in [
        ("format", json!("xlsx")),
        ("status", json!("completed")),
        ("file_name", json!("parking_history_20261120_190000.xlsx")),
        ("rows", json!(1)),
        ("current", json!(1)),
        ("total", json!(1)),
        ("bytes", json!(content.len())),
        ("sha256", json!(sha256)),
    ] {
        assert_eq!(export[field], value, "{field}");
    }
    let path = format!("/export/download/{id}");
    let answer = t.send(t.request(Method::HEAD, &path, Some(&asha))).await.expect(200);
    assert_eq!(answer.headers["content-type"], XLSX);
    assert_eq!(answer.headers["content-length"], content.len().to_string());
    assert!(
        answer.headers["content-disposition"]
            .to_str()
            .unwrap()
            .ends_with("parking_history_20261120_190000.xlsx")
    );
    let part =
        t.send(t.request(Method::GET, &path, Some(&asha)).header("range", "bytes=0-1")).await.expect(206);
    assert_eq!((part.text.as_str(), &part.headers["content-type"]), ("PK", &XLSX.parse().unwrap()));
    let files: Vec<_> =
        std::fs::read_dir(t.folder().join("files")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, [format!("{id}.xlsx").as_str()], "no temporary file is left");

    clock.advance(TimeDelta::hours(24));
    let admin = t.log_in("admin@example.com").await;
    let task =
        t.post("/export/admin/cleanup", Some(&admin), json!({})).await.expect(202).body["task_id"].clone();
    finished(&t, &admin, task.as_str().unwrap()).await;
    assert_eq!(
        std::fs::read_dir(t.folder().join("files")).unwrap().count(),
        0,
        "expired workbooks are removed"
    );
}

#[testkit::both_databases]
async fn everybodys_workbook_has_names_or_pseudonyms(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    hostile_stay(&t, &clock).await;
    let admin = t.log_in("admin@example.com").await;
    let (_, named) = workbook(&t, &admin, json!({ "scope": "all" })).await;
    let named = texts(&rows(&named)[1]);
    assert_eq!((named[12].as_str(), named[13].as_str()), ("0012345678901234567", "Asha"));
    let (_, hidden) = workbook(&t, &admin, json!({ "scope": "all", "anonymise": true })).await;
    let hidden = &rows(&hidden)[1];
    assert_eq!((&hidden[11], &hidden[12]), (&Data::Empty, &Data::Empty));
    assert_eq!(hidden[13].get_string().unwrap().len(), 16);
}

#[testkit::both_databases]
async fn csv_begins_with_a_byte_order_mark_on_request(t: TestApp) {
    let _worker = t.work();
    let asha = t.driver("Asha").await;
    let plain = exported(&t, &asha, json!({})).await;
    for options in [json!({ "format": "csv" }), json!({ "format": null, "bom": false })] {
        assert_eq!(exported(&t, &asha, options).await, plain);
    }
    assert!(plain.starts_with("reservation id,"));
    let id = request(&t, &asha, json!({ "bom": true })).await;
    finished(&t, &asha, &id).await;
    let file = std::fs::read(t.folder().join("files").join(format!("{id}.csv"))).unwrap();
    assert_eq!(file, [b"\xEF\xBB\xBF", plain.as_bytes()].concat());
    let status = t.get(&format!("/export/csv/status/{id}"), Some(&asha)).await.expect(200);
    assert_eq!(status.body["export"]["bytes"], file.len());
}

#[testkit::both_databases]
async fn unknown_formats_and_marks_are_refused(t: TestApp) {
    let asha = t.driver("Asha").await;
    for (options, field) in [
        (json!({ "format": "pdf" }), "/format"),
        (json!({ "format": "XLSX" }), "/format"),
        (json!({ "format": "" }), "/format"),
        (json!({ "format": ["csv"] }), "/format"),
        (json!({ "bom": "yes" }), "/bom"),
        (json!({ "bom": true, "format": "xlsx" }), "/bom"),
    ] {
        let answer = t.post("/export/csv/request", Some(&asha), options.clone()).await;
        assert_eq!(pointers(&answer), [field], "{options}");
    }
    assert_eq!(number(&t, "SELECT COUNT(*) AS n FROM exports").await, 0);
}

/// Case 17.
#[testkit::both_databases]
async fn full_width_and_separated_formulas_are_neutralized(t: TestApp) {
    let clock = Clock::fixed(noon());
    let t = t.at(clock.clone()).await;
    let _worker = t.work();
    let asha = hostile_stay(&t, &clock).await;
    let csv = exported(&t, &asha, json!({})).await;
    let records = crate::exports::records(&csv);
    assert_eq!((records[0][2].as_str(), records[0][11].as_str()), ("'＝1+1", "x;'=1+1;"));
    assert_eq!(records[0][7], "51.00", "numbers stay numbers");
}
