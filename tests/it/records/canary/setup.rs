//! The service with canaries in it, and the readers.

use porchlight::identity::Role;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::super::MODULES;
use crate::support::own::OwnPostgres;
use crate::support::people::readers_of_private_fields;
use crate::support::requests::client;
use crate::support::{Answer, Process, Token};

/// The canary in notes, and two for private fields that are numbers.
pub const NOTES: &str = "PRIVATE-CANARY";
const COMMISSION: &str = "7731731.25";
const RATE: &str = "93.717";
const CANARIES: [&str; 3] = [NOTES, COMMISSION, RATE];
/// The private field of a module, its canary, and what its rules refuse.
pub fn private(module: &str) -> (&'static str, Value, Value) {
    match module {
        "escrows" => ("commission", json!(7_731_731.25), json!(7_731_731.257)),
        "listings" => ("commissionRate", json!(93.717), json!(93.717_17)),
        _ => ("notes", json!(NOTES), json!(NOTES.repeat(500))),
    }
}

/// The same, and readers of another team and of another brokerage.
pub fn readers() -> Vec<(Token, bool)> {
    let mut readers = readers_of_private_fields();
    readers.push((Token::user("zoe", &["z"]), false));
    readers.push((
        Token::user("far", &["a"]).in_role(Role::Admin).of("c"),
        false,
    ));
    readers
}

/// The service, and a client.
pub struct Setup {
    pub process: Process,
    client: Client,
}

impl Setup {
    pub async fn start(postgres: &OwnPostgres) -> Self {
        let url = postgres.url();
        let variables = [
            ("DATABASE_URL", &url[..]),
            ("PORCHLIGHT_LOG", "trace"),
            ("PORCHLIGHT_STREAMS_PER_USER", "1000"),
        ];
        let process = Process::start("127.0.0.1:0", &variables).await;
        let client = client(false);
        Self { process, client }
    }

    /// The answer to a request with this version in `If-Match`.
    pub async fn ask(
        &self,
        who: &Token,
        method: Method,
        path: &str,
        fields: &Value,
        version: &str,
    ) -> Answer {
        let asked = self.client.request(method, self.process.url(path));
        let asked = asked.bearer_auth(who.signed()).header("If-Match", version);
        Answer::to(match fields {
            Value::Null => asked,
            fields => asked.json(fields),
        })
        .await
    }

    pub async fn get(&self, who: &Token, path: &str) -> Answer {
        self.ask(who, Method::GET, path, &Value::Null, "*").await
    }

    /// Creates records of Ann's in every module: a plain one, an archived one and a moved one.
    pub async fn plant(&self) {
        let ann = Token::user("ann", &["a", "z"]);
        for (module, _, required) in MODULES {
            let (field, canary, _) = private(module);
            for id in ["r-1", "away", "moved"] {
                let fields = json!({"id": id, required: id, field: canary, "teamId": "a"});
                let path = format!("/records/{module}");
                let made = self.ask(&ann, Method::POST, &path, &fields, "*").await;
                assert_eq!(made.status, 201, "{}", made.text);
            }
            for (method, path, fields) in [
                (Method::PATCH, "r-1", json!({field: null})),
                (Method::PATCH, "r-1", json!({field: canary})),
                (Method::POST, "away/archive", Value::Null),
                (Method::PATCH, "moved", json!({"teamId": "z"})),
                (Method::PATCH, "moved", json!({"teamId": null})),
            ] {
                let path = format!("/records/{module}/{path}");
                let done = self.ask(&ann, method, &path, &fields, "*").await;
                assert_eq!(done.status, 200, "{}", done.text);
            }
        }
    }
}

/// The canary in a text, if any. A number with a unit of time behind it is none.
pub fn canary_in(text: &str) -> Option<&str> {
    let is_time = |rest: &str| rest.starts_with(['µ', 'm', 'n', 's']);
    let found = |canary: &&str| {
        let mut places = text.match_indices(canary);
        places.any(|(at, _)| !is_time(&text[at + canary.len()..]))
    };
    CANARIES.into_iter().find(found)
}

pub fn check(text: &str, sees: bool, what: &str) {
    assert_eq!(canary_in(text).is_some(), sees, "{what}: {text}");
}

/// Decodes the marker of the next page.
pub fn unhexed(text: &str) -> String {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    let bytes: Vec<_> = (0..text.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).expect("text")
}
