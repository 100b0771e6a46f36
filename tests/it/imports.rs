//! Imports: from a file to records, by the worker that is built in.

mod arriving;
mod asked;
mod cancelled;
mod ends;
mod files;
mod killed;
mod retried;
mod rights;
mod starving;
mod uploads;
mod whole;

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::people::ann;
use crate::support::requests::post;
use crate::support::tasks::{ended, whole_output};
use crate::support::{Answer, Service, Token};

/// Short times, so that ends come soon; and the worker at work.
const WORKING: &[&str] = &[
    "--with-worker",
    "--task-lease-min-seconds=1",
    "--task-lease-max-seconds=4",
    "--task-backoff-ms=50",
];

/// Uploads a file.
async fn send_file(service: &Service, who: &Token, file: impl Into<reqwest::Body>) -> Answer {
    let request = service.client.post(service.url("/uploads"));
    let request = request.header("Content-Type", "text/csv; charset=utf-8");
    Answer::to(request.bearer_auth(who.signed()).body(file)).await
}

/// Uploads a file, which must be accepted, and gives its id.
async fn upload(service: &Service, who: &Token, file: impl Into<reqwest::Body>) -> String {
    let sent = send_file(service, who, file).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    sent.json()["id"].as_str().expect("an id").to_owned()
}

/// Creates a task for an import, and gives its id.
async fn ask(service: &Service, who: &Token, params: Value) -> String {
    let body = json!({"type": "import_csv", "title": "Import", "params": params});
    let made = post(service, who, "/tasks", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// Asks for an import that is refused: the field, the reason's code, and its text.
async fn refused(service: &Service, who: &Token, params: Value) -> (String, String, String) {
    let body = json!({"type": "import_csv", "params": params});
    let sent = post(service, who, "/tasks", &body).await;
    let field = sent.refused(400, "invalid_params", &params.to_string());
    let problem = sent.json();
    let text = |name: &str| problem[name].as_str().expect("words").to_owned();
    (field.expect("a field"), text("reason"), text("detail"))
}

/// Runs an import to its end.
async fn import(service: &Service, who: &Token, params: Value) -> Value {
    let task = ask(service, who, params).await;
    ended(service, who, &task).await
}

/// The result of an import that has completed.
#[track_caller]
fn result(task: &Value) -> Value {
    assert_eq!(task["state"], "completed", "{task}");
    task["result"].clone()
}

#[track_caller]
fn failure(task: &Value) -> (String, String) {
    assert_eq!(task["state"], "failed", "{task}");
    let text = |name: &str| task["error"][name].as_str().expect("words").to_owned();
    (text("code"), text("message"))
}

/// All lines of a task's output.
async fn output(service: &Service, who: &Token, task: &str) -> Vec<String> {
    let mut stream = service.stream(&format!("/tasks/{task}/output"), who).await;
    let (text, _) = whole_output(&mut stream).await;
    text.lines().map(ToOwned::to_owned).collect()
}

async fn count(sql: &mut PgConnection, query: &str) -> i64 {
    let count = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    count.fetch_one(sql).await.expect("a count")
}

async fn database() -> (Arc<TestDatabase>, PgConnection) {
    let database = Arc::new(TestDatabase::create().await);
    let sql = database.connect().await;
    (database, sql)
}

async fn working() -> Service {
    Service::with(WORKING).await
}

#[tokio::test]
async fn a_file_becomes_records_and_its_bad_rows_are_named() {
    let service = working().await;
    let ann = ann();
    let file = "Address,List Price,status,Listed On,Bedrooms,Commission-Rate,Photo\n\
        1 Oak St,\"$395,000.00\",Coming Soon,7/4/2025,3,2.5%,a.jpg\n\
        2 Oak St,a lot,active,2025-07-04,3,secret,b.jpg\n\
        \"3\nOak St\", 1 ,,,,,\n\
        4 Oak St,1,active\n\
        ,5,,,,,\n\
        6 Oak St,6,dreamy,2/30/2025,x,,\n";
    let upload = upload(&service, &ann, file).await;
    let params = json!({"module": "listings", "upload": upload});
    let id = ask(&service, &ann, params).await;
    let task = ended(&service, &ann, &id).await;
    let error = |line: i64, column: &str, field: &str, reason: &str| json!({"line": line, "column": column, "field": field, "reason": reason});
    let price = "must be a number from 0 to 1000000000000, with 2 decimals at the most";
    let status = "must be one of coming_soon, active, pending, sold, withdrawn, expired";
    let expected = json!({
        "rows": 6, "created": 2, "bad": 4, "ignoredColumns": ["Photo"],
        "errors": [
            error(3, "List Price", "listPrice", price),
            error(3, "Commission-Rate", "commissionRate",
                "must be a number from 0 to 100, with 3 decimals at the most"),
            {"line": 6, "reason": "has 3 values where the header has 7"},
            error(7, "Address", "address", "is required"),
            error(8, "status", "status", status),
            error(8, "Listed On", "listedOn", "must be a day like 2025-11-02"),
            error(8, "Bedrooms", "bedrooms", "must be a whole number from 0 to 1000"),
        ],
    });
    assert_eq!(result(&task), expected);
    let message = "Created 2 of 6 listings, 4 rows could not be read.";
    assert_eq!(task["message"], message);
    let lines = output(&service, &ann, &id).await;
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert_eq!(lines[0], format!("line 3, column \"List Price\": {price}"));
    assert_eq!(lines[2], "line 6: has 3 values where the header has 7");
    let page = service.list("/records/listings?sort=address", &ann).await;
    let records = page["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{page}");
    let oak = &records[0];
    assert_eq!(
        (&oak["address"], &oak["status"], &oak["listedOn"]),
        (
            &json!("1 Oak St"),
            &json!("coming_soon"),
            &json!("2025-07-04")
        )
    );
    assert_eq!(oak["listPrice"].as_f64(), Some(395_000.0));
    assert_eq!(
        (&oak["commissionRate"], &oak["ownerId"]),
        (&json!(2.5), &json!("ann"))
    );
    assert_eq!(
        (&oak["teamId"], &records[1]["address"]),
        (&json!("a"), &json!("3\nOak St"))
    );
    assert_eq!(records[1]["status"], "active", "as the table would have it");
    let log = service
        .list("/events?types=listing:created&after=0", &ann)
        .await;
    let received = log["events"].as_array().unwrap();
    assert_eq!((received.len(), &received[0]["userId"]), (2, &json!("ann")));
}

#[tokio::test]
async fn every_module_takes_a_file() {
    let service = working().await;
    let ann = ann();
    for (module, csv) in [
        (
            "escrows",
            "Address,Purchase Price,Close Date\n1 Oak St,\"1,000\",12/31/2025\n",
        ),
        ("listings", "address\n1 Oak St\n"),
        (
            "clients",
            "NAME,E-Mail,Tags\nAnn Lee,ann@example.com,vip; cash ;\n",
        ),
        (
            "appointments",
            "title,Starts At\nShowing,2025-11-02 12:00:00Z\n",
        ),
        ("leads", "Name;Score;Follow Up On\nBob;10%;2025-11-02\n"),
    ] {
        let delimiter = if csv.contains("Name;") { ";" } else { "," };
        let params = json!({"module": module, "csv": csv, "delimiter": delimiter});
        let done = result(&import(&service, &ann, params).await);
        assert_eq!(
            done,
            json!({"rows": 1, "created": 1, "bad": 0, "errors": []}),
            "{module}"
        );
    }
    let clients = service.list("/records/clients", &ann).await;
    assert_eq!(clients["records"][0]["tags"], json!(["vip", "cash"]));
}

#[tokio::test]
async fn headers_are_mapped_and_wrong_ones_are_named() {
    let service = working().await;
    let ann = ann();
    let csv = "Where,Price,List Price,Notes,Version\n1 Oak St,5,6,hello,9\n";
    let params = |mapping: Value| json!({"module": "listings", "csv": csv, "mapping": mapping});
    let mapping = json!({"where": "address", "Price": "soldPrice", "List Price": null});
    let done = result(&import(&service, &ann, params(mapping)).await);
    assert_eq!(
        done["ignoredColumns"],
        json!(["List Price", "Notes", "Version"])
    );
    let page = service.list("/records/listings", &ann).await;
    let record = &page["records"][0];
    assert_eq!(
        (&record["soldPrice"], &record["listPrice"]),
        (&json!(5), &Value::Null)
    );
    for (mapping, code, word) in [
        (json!({}), "missing_column", "address"),
        (json!({"Nowhere": "address"}), "unknown_column", "Nowhere"),
        (
            json!({"Where": "address", "Price": "listPrice"}),
            "duplicate_column",
            "List Price",
        ),
    ] {
        let (found, message) = failure(&import(&service, &ann, params(mapping)).await);
        assert!(
            found == code && message.contains(word),
            "{found}: {message}"
        );
    }
    for name in ["adress", "version"] {
        let mapping = json!({"Where": name});
        let (field, reason, detail) = refused(&service, &ann, params(mapping)).await;
        assert_eq!((&*field, &*reason), ("params.mapping", "unknown_column"));
        assert!(detail.contains(name), "{detail}");
    }
    let only = json!({"module": "listings", "csv": "Address,Price,List Price\n1,2,3",
        "onlyColumns": ["address"]});
    let done = result(&import(&service, &ann, only).await);
    assert_eq!(done["ignoredColumns"], json!(["Price", "List Price"]));
}
