//! Records for those who have no tables of their own, over two instances.

mod bad;
mod canary;
mod changes;
mod contended;
mod converging;
mod fields;
mod followed;
mod frugal;
mod ids;
mod listed;
mod locked;
mod masked;
mod open_transaction;
mod raced;
mod seen;
mod stale;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::instances::two;
use crate::support::people::{admin, agent};
use crate::support::sql::{run, until_counted};
use crate::support::{Answer, Service, Token};

/// Each module, and the least that one of its records needs.
const MODULES: [(&str, &str, &str); 5] = [
    ("escrows", "escrow", "address"),
    ("listings", "listing", "address"),
    ("clients", "client", "name"),
    ("appointments", "appointment", "title"),
    ("leads", "lead", "name"),
];

/// A request of a user.
struct Call<'a> {
    service: &'a Service,
    who: &'a Token,
    headers: Vec<(&'a str, String)>,
}

impl<'a> Call<'a> {
    fn by(service: &'a Service, who: &'a Token) -> Self {
        let headers = Vec::new();
        Self {
            service,
            who,
            headers,
        }
    }

    /// With `If-Match` of this version.
    fn knowing(self, version: i64) -> Self {
        self.with("If-Match", &format!("\"{version}\""))
    }

    fn with(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.service.client.request(method, self.service.url(path));
        let mut request = request.bearer_auth(self.who.signed());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        Answer::to(match body {
            Value::Null => request,
            body => request.json(body),
        })
        .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, &format!("/records/{path}"), &Value::Null)
            .await
    }

    async fn create(&self, module: &str, body: &Value) -> Answer {
        self.send(Method::POST, &format!("/records/{module}"), body)
            .await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, &format!("/records/{path}"), body)
            .await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, &format!("/records/{path}"), &Value::Null)
            .await
    }

    /// `archive` or `restore`.
    async fn put(&self, path: &str, what: &str) -> Answer {
        self.send(
            Method::POST,
            &format!("/records/{path}/{what}"),
            &Value::Null,
        )
        .await
    }
}

/// The answer's body, which must have this status.
#[track_caller]
fn body(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    answer.json()
}

/// An escrow called `e-1` of ann's, on team `a`, with a commission.
async fn escrow(service: &Service) -> Value {
    let ann = agent("ann");
    let fields = json!({"id": "e-1", "address": "1 Oak St", "purchasePrice": 395_000,
        "commission": 11_850.25});
    body(
        &Call::by(service, &ann).create("escrows", &fields).await,
        201,
    )
}

/// The ids of a page.
fn ids(page: &Value) -> Vec<&str> {
    let records = page["records"].as_array().expect("records");
    records
        .iter()
        .map(|record| record["id"].as_str().expect("an id"))
        .collect()
}
