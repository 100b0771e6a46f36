//! The service, canaries in it, and those who ask it.

use porchlight::identity::Role;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::super::{MODULES, agent};
use crate::support::own::OwnPostgres;
use crate::support::{Answer, Process, Token};

/// In notes; and where a private field is a number, two that are found nowhere else.
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

/// Everyone who looks, and whether they see what is private of ann's.
pub fn eyes() -> Vec<(Token, bool)> {
    let with = |role, name| Token {
        role,
        ..agent(name)
    };
    vec![
        (agent("ann"), true),
        (with(Role::Admin, "boss"), true),
        (agent("bob"), false),
        (with(Role::Service, "svc"), false),
        (with(Role::Worker, "wes"), false),
        (Token::user("zoe", &["z"]), false),
        (with(Role::Admin, "far").of("c"), false),
    ]
}

/// The service, and those who ask it.
pub struct Place {
    pub process: Process,
    client: Client,
}

impl Place {
    pub async fn start(postgres: &OwnPostgres) -> Self {
        let url = postgres.url();
        let variables = [
            ("DATABASE_URL", &url[..]),
            ("PORCHLIGHT_LOG", "trace"),
            ("PORCHLIGHT_STREAMS_PER_USER", "1000"),
        ];
        let process = Process::start("127.0.0.1:0", &variables).await;
        let client = Client::builder().gzip(false).no_proxy().build();
        let client = client.expect("a client");
        Self { process, client }
    }

    /// What somebody is answered who knows this version.
    pub async fn ask(&self, who: &Token, request: (Method, &str, &Value), version: &str) -> Answer {
        let (method, path, fields) = request;
        let asked = self.client.request(method, self.process.url(path));
        let asked = asked.bearer_auth(who.signed()).header("If-Match", version);
        Answer::to(match fields {
            Value::Null => asked,
            fields => asked.json(fields),
        })
        .await
    }

    pub async fn get(&self, who: &Token, path: &str) -> Answer {
        self.ask(who, (Method::GET, path, &Value::Null), "*").await
    }

    /// A record of ann's in every module, archived ones, given ones, moved ones.
    pub async fn plant(&self) {
        let ann = Token::user("ann", &["a", "z"]);
        for (module, _, required) in MODULES {
            let (field, canary, _) = private(module);
            for id in ["r-1", "away", "moved"] {
                let fields = json!({"id": id, required: id, field: canary, "teamId": "a"});
                let path = format!("/records/{module}");
                let made = self.ask(&ann, (Method::POST, &path, &fields), "*").await;
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
                let done = self.ask(&ann, (method, &path, &fields), "*").await;
                assert_eq!(done.status, 200, "{}", done.text);
            }
        }
    }
}

/// Whether a canary is in a text. A time that something took is none.
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

/// What a marker of the next page says to who takes it apart.
pub fn unhexed(text: &str) -> String {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    let bytes: Vec<_> = (0..text.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).expect("text")
}
