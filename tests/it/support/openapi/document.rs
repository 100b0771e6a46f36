//! The operations of the document, ready to be compared with.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use porchlight::api::DOCUMENT;
use serde_json::Value;

use super::forms::{self, EventForm};
use super::schemas::{Gathered, Schema, Schemas};

/// Headers that are sent without being described: those of HTTP itself, and of CORS. `Cache-Control`
/// is described where it is more than `no-store`.
pub const GENERAL_HEADERS: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
    "vary",
];

/// Headers that answers to any operation may have, and their names in the document, which describes them once.
const COMMON_HEADERS: &[(&str, &str)] = &[
    ("ratelimit", "RateLimit"),
    ("ratelimit-policy", "RateLimitPolicy"),
    ("x-content-type-options", "NoSniff"),
];

/// Responses that belong to no operation.
const GENERAL: &[&str] = &[
    "HeadTimeout",
    "HeadTooLarge",
    "Internal",
    "Malformed",
    "MethodNotAllowed",
    "NotFound",
];

/// Members whose bounds are settings; the document has the usual ones, and tests choose others.
const CONFIGURED: &[&str] = &["leaseSeconds"];

/// The document, with its schemas compiled.
pub static DESCRIBED: LazyLock<Described> = LazyLock::new(Described::read);

pub struct Described {
    pub schemas: Schemas,
    pub operations: Vec<Operation>,
    /// By their names in small letters.
    pub common_headers: HashMap<&'static str, Header>,
    /// Those that are used by no operation, and their like.
    responses: HashMap<String, Response>,
}

pub struct Operation {
    pub method: String,
    /// With `{names}` for its parts.
    pub path: String,
    /// Whether it needs no token.
    pub is_public: bool,
    /// Whether a ticket may stand for the token.
    pub takes_ticket: bool,
    pub parameters: Vec<Parameter>,
    pub request: Option<RequestBody>,
    pub responses: BTreeMap<u16, Response>,
}

pub struct Parameter {
    pub name: String,
    pub place: String,
    pub schema: TextSchema,
}

pub struct RequestBody {
    pub is_required: bool,
    pub content: HashMap<String, Schema>,
}

#[derive(Clone)]
pub struct Response {
    /// By their names in small letters.
    pub headers: BTreeMap<String, Header>,
    pub content: HashMap<String, Schema>,
    /// What may come on a stream; the first that fits counts.
    pub events: Vec<EventForm>,
}

#[derive(Clone)]
pub struct Header {
    pub is_required: bool,
    pub schema: TextSchema,
}

/// A schema for a value that comes as text.
#[derive(Clone)]
pub struct TextSchema {
    schema: Schema,
    types: BTreeSet<String>,
}

/// A response of the document.
pub struct Found<'a> {
    /// `GET /locks 200`, or the name of a response that belongs to no operation.
    pub name: String,
    pub operation: Option<&'a Operation>,
    pub response: &'a Response,
}

impl Described {
    fn read() -> Self {
        let mut gathered = Gathered::default();
        let mut operations = Vec::new();
        let mut components = DOCUMENT["components"].clone();
        forget_settings(&mut components);
        for (path, item) in members(&DOCUMENT["paths"]) {
            for (method, operation) in members(item) {
                operations.push(Operation::read(&mut gathered, method, path, operation));
            }
        }
        let responses = members(&DOCUMENT["components"]["responses"]);
        let responses = responses
            .map(|(name, response)| (name.clone(), Response::read(&mut gathered, response)))
            .collect();
        let common_headers = COMMON_HEADERS.iter().map(|(name, described)| {
            let header = &DOCUMENT["components"]["headers"][described];
            (*name, Header::read(&mut gathered, header))
        });
        let common_headers = common_headers.collect();
        Self {
            schemas: gathered.compile(&components),
            operations,
            common_headers,
            responses,
        }
    }

    /// The operation of a path as it was sent: the one with the most parts that are the same.
    pub fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        let operations = self.operations.iter();
        let fitting =
            operations.filter(|operation| operation.method == method && operation.fits(path));
        fitting.max_by_key(|operation| {
            operation.path.matches('/').count() - operation.path.matches('{').count()
        })
    }

    /// What an unknown path, or one with other methods, may answer.
    pub fn of_no_operation(&self, path: &str, status: u16) -> Option<Found<'_>> {
        let is_path = self.operations.iter().any(|operation| operation.fits(path));
        match (status, is_path) {
            (403, _) => self.general("OriginRefused"),
            (404, false) => self.general("NotFound"),
            (405, true) => self.general("MethodNotAllowed"),
            _ => None,
        }
    }

    /// What any path may answer, because it could not be read.
    pub fn of_no_request(&self, status: u16) -> Option<Found<'_>> {
        match status {
            400 => self.general("Malformed"),
            408 => self.general("HeadTimeout"),
            431 => self.general("HeadTooLarge"),
            _ => None,
        }
    }

    fn general(&self, name: &str) -> Option<Found<'_>> {
        let response = self.responses.get(name)?;
        Some(Found {
            name: name.to_owned(),
            operation: None,
            response,
        })
    }

    /// All responses: those of the operations, and [`GENERAL`] ones.
    pub fn all(&self) -> impl Iterator<Item = Found<'_>> {
        let general = GENERAL.iter().filter_map(|name| self.general(name));
        let operations = self.operations.iter();
        let own = operations.flat_map(|operation| {
            let statuses = operation.responses.keys();
            statuses.filter_map(|status| operation.response(*status))
        });
        own.chain(general)
    }
}

impl Operation {
    fn read(gathered: &mut Gathered, method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| {
            let parameter = resolved(parameter);
            Parameter {
                name: string(&parameter["name"]),
                place: string(&parameter["in"]),
                schema: TextSchema::read(gathered, &parameter["schema"]),
            }
        });
        let parameters = parameters.collect();
        let body = operation.get("requestBody").map(|body| RequestBody {
            is_required: body["required"] == true,
            content: content(gathered, body, Gathered::add),
        });
        let responses = members(&operation["responses"]).map(|(status, response)| {
            let status = status.parse().expect("a status");
            (status, Response::read(gathered, resolved(response)))
        });
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
            takes_ticket: operation["security"]
                .as_array()
                .is_some_and(|ways| ways.iter().any(|way| way.get("ticket").is_some())),
            parameters,
            request: body,
            responses: responses.collect(),
        }
    }

    fn fits(&self, path: &str) -> bool {
        let (mut ours, mut theirs) = (self.path.split('/'), path.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                // A file may be in folders.
                (Some("{file}"), Some(their)) if !their.is_empty() => return true,
                (Some(our), Some(their)) if our.starts_with('{') && !their.is_empty() => {}
                (Some(our), Some(their)) if our == their => {}
                _ => return false,
            }
        }
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What it answers with this status.
    pub fn response(&self, status: u16) -> Option<Found<'_>> {
        let response = self.responses.get(&status)?;
        Some(Found {
            name: format!("{} {status}", self.name()),
            operation: Some(self),
            response,
        })
    }

    /// Whether its answer has no end.
    pub fn is_stream(&self) -> bool {
        let mut responses = self.responses.values();
        responses.any(|response| !response.events.is_empty())
    }

    /// The parts of a path that have names, decoded.
    pub fn path_parts<'a>(
        &'a self,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let parts = self.path.split('/').zip(path.split('/'));
        parts.filter_map(|(name, part)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            let part = percent_encoding::percent_decode_str(part);
            Some((name, part.decode_utf8_lossy()))
        })
    }
}

impl Parameter {
    pub fn is_in(&self, place: &str, name: &str) -> bool {
        self.place == place && self.name == name
    }
}

impl Response {
    fn read(gathered: &mut Gathered, response: &Value) -> Self {
        let headers = members(&response["headers"]).map(|(name, header)| {
            let header = Header::read(gathered, resolved(header));
            (name.to_lowercase(), header)
        });
        Self {
            headers: headers.collect(),
            content: content(gathered, response, |gathered, schema| {
                gathered.add_closed(&schema)
            }),
            events: forms::of_stream(
                gathered,
                &response["content"]["text/event-stream"]["schema"],
            ),
        }
    }
}

impl Header {
    fn read(gathered: &mut Gathered, header: &Value) -> Self {
        Self {
            is_required: header["required"] == true,
            schema: TextSchema::read(gathered, &header["schema"]),
        }
    }
}

impl TextSchema {
    fn read(gathered: &mut Gathered, schema: &Value) -> Self {
        let types = match &resolved(schema)["type"] {
            Value::Array(types) => types.iter().map(string).collect(),
            Value::String(name) => [name.clone()].into(),
            _ => BTreeSet::new(),
        };
        let schema = gathered.add(schema.clone());
        Self { schema, types }
    }

    /// What is wrong with a value that came as text.
    pub fn fault(&self, text: &str, what: &str) -> Option<String> {
        let is = |name| self.types.contains(name);
        let value = if is("array") {
            text.split(',').map(str::trim).collect()
        } else if is("integer") || is("number") || is("boolean") {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        } else {
            Value::from(text)
        };
        let checked = super::DESCRIBED.schemas.check(self.schema, &value);
        checked.err().map(|error| format!("{what}: {error}"))
    }
}

fn content(
    gathered: &mut Gathered,
    of: &Value,
    add: impl Fn(&mut Gathered, Value) -> Schema,
) -> HashMap<String, Schema> {
    let content = members(&of["content"]);
    let content = content.map(|(media_type, content)| {
        let schema = content.get("schema").cloned();
        let mut schema = schema.unwrap_or(Value::Bool(true));
        forget_settings(&mut schema);
        (media_type.clone(), add(gathered, schema))
    });
    content.collect()
}

/// Takes the bounds away that are settings.
fn forget_settings(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                if let (true, Value::Object(member)) = (CONFIGURED.contains(&&**name), &mut *member)
                {
                    member.remove("minimum");
                    member.remove("maximum");
                }
                forget_settings(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_settings),
        _ => {}
    }
}

/// What a `$ref` stands for.
pub fn resolved(value: &Value) -> &Value {
    match value["$ref"]
        .as_str()
        .and_then(|place| place.strip_prefix('#'))
    {
        Some(place) => resolved(DOCUMENT.pointer(place).expect("it is there")),
        None => value,
    }
}

pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn string(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
