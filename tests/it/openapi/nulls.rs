//! Where a body may have `null`: the service and the document say the same of every property.

use std::collections::BTreeSet;

use porchlight::api::DOCUMENT;
use porchlight::identity::Role;
use serde_json::{Value, json};

use crate::support::openapi::{DESCRIBED, Operation, members, resolved};
use crate::support::{Answer, Service, Token};

const JSON: &str = "application/json";

/// Bodies with all properties of an operation, and the role that sends them.
pub(super) fn bodies() -> Vec<(&'static str, &'static str, Role, Vec<Value>)> {
    let (agent, service, worker) = (Role::Agent, Role::Service, Role::Worker);
    let record = json!({"module": "escrows", "recordId": "e"});
    let event = |audience: Value| {
        json!({
            "type": "escrow:x", "audience": audience, "module": "escrows", "recordId": "e",
            "userId": "u", "version": 1, "data": {}, "changes": {},
        })
    };
    let (user, team, broker) = (
        json!({"user": "u"}),
        json!({"team": "t"}),
        json!({"broker": true}),
    );
    let claim = json!({"session": "s", "leaseSeconds": 60});
    let notification = |audience: &Value| {
        json!({
            "audience": audience, "level": "info", "title": "T", "body": "B",
            "module": "escrows", "recordId": "e",
        })
    };
    let mut notice = notification(&broker);
    notice["system"] = json!("broadcast");
    let task = json!({"type": "x", "title": "T", "params": {}, "maxAttempts": 1});
    let mut step = task.clone();
    (step["parent"], step["team"]) = (json!("p"), json!("t"));
    // Of any type but that of imports, params are what one likes.
    let mut like_import = task.clone();
    like_import["params"] = json!({
        "module": "leads", "upload": "u", "csv": "Name", "mapping": {}, "onlyColumns": ["Name"],
        "mode": "keep", "encoding": "utf-8", "delimiter": ",", "teamId": "t",
    });
    let mut import = like_import.clone();
    import["type"] = json!("import_csv");
    import["params"]["upload"] = Value::Null;
    let mut workflow = task.clone();
    (workflow["children"], workflow["idempotencyKey"]) = (json!([like_import]), json!("k"));
    let events = [&user, &team, &broker].map(|audience| event(audience.clone()));
    let both = json!({"events": events});
    let events = [events.to_vec(), vec![both]].concat();
    let preferences = json!({
        "taskEnded": true, "lockTakenOver": true, "lockRequested": true, "recordChanged": true,
    });
    let progress = json!({
        "fence": 1, "percent": 1, "step": 1, "steps": 2, "message": "M", "partial": {},
    });
    let fault = json!({"code": "c", "message": "M", "retryable": true});
    let heartbeat = json!({
        "session": "s", "status": "online", "viewing": record, "editing": record,
    });
    let mut lock = record.clone();
    (lock["session"], lock["leaseSeconds"]) = (json!("s"), json!(60));
    let of_record = json!({"name": "typing", "module": "escrows", "recordId": "e", "session": "s"});
    let of_team = json!({"name": "typing", "team": "t", "session": "s"});
    vec![
        ("POST", "/events", service, events),
        ("POST", "/locks", agent, vec![lock]),
        (
            "POST",
            "/locks/{module}/{id}/renew",
            agent,
            vec![claim.clone()],
        ),
        (
            "POST",
            "/locks/{module}/{id}/request",
            agent,
            vec![json!({"session": "s"})],
        ),
        ("POST", "/locks/{module}/{id}/takeover", agent, vec![claim]),
        (
            "POST",
            "/tasks",
            agent,
            vec![step, like_import, import, workflow],
        ),
        (
            "POST",
            "/tasks/claim",
            worker,
            vec![json!({"types": ["y"], "waitSeconds": 0, "leaseSeconds": 30})],
        ),
        ("POST", "/tasks/{id}/progress", worker, vec![progress]),
        (
            "POST",
            "/tasks/{id}/complete",
            worker,
            vec![json!({"fence": 1, "result": {}, "message": "M"})],
        ),
        (
            "POST",
            "/tasks/{id}/fail",
            worker,
            vec![json!({"fence": 1, "error": fault})],
        ),
        (
            "POST",
            "/tasks/{id}/cancelled",
            worker,
            vec![json!({"fence": 1})],
        ),
        (
            "POST",
            "/tasks/{id}/output",
            worker,
            vec![json!({"fence": 1, "offset": 0, "text": "T"})],
        ),
        ("POST", "/presence/heartbeat", agent, vec![heartbeat]),
        (
            "POST",
            "/presence/leave",
            agent,
            vec![json!({"session": "s"})],
        ),
        (
            "POST",
            "/sessions/renew",
            agent,
            vec![json!({"stream": "5f0c2b7e9d4a4c55a1f6f3a0f8f9a001"})],
        ),
        ("POST", "/signals", agent, vec![of_record, of_team]),
        (
            "POST",
            "/demo",
            agent,
            vec![json!({"user": "bob", "role": "service"})],
        ),
        (
            "POST",
            "/notifications",
            service,
            vec![notification(&user), notification(&team), notice],
        ),
        (
            "POST",
            "/notifications/read-all",
            agent,
            vec![json!({"upTo": 1})],
        ),
        (
            "PUT",
            "/notifications/preferences",
            agent,
            vec![preferences],
        ),
        // The last one revokes all tokens.
        (
            "POST",
            "/sessions/revoke",
            service,
            vec![
                json!({"user": "u", "team": "t", "issuedBefore": "2025-11-02T12:00:00Z"}),
                json!({"tokenId": "t", "expiresAt": "2025-11-02T12:00:00Z"}),
                json!({"broker": true, "issuedBefore": "2025-11-02T12:00:00Z"}),
            ],
        ),
    ]
}

/// Each place in a body, like `/events/0/type`.
fn places(body: &Value, at: &str, found: &mut Vec<String>) {
    match body {
        Value::Object(members) => {
            for (name, member) in members {
                found.push(format!("{at}/{name}"));
                places(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
}

/// Each property that a schema names, like `/events/0/type`.
fn named(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let schema = resolved(schema);
    for (name, property) in members(&schema["properties"]) {
        found.insert(format!("{at}/{name}"));
        named(property, &format!("{at}/{name}"), found);
    }
    if schema.get("items").is_some() {
        named(&schema["items"], &format!("{at}/0"), found);
    }
    for composed in ["allOf", "anyOf", "oneOf"] {
        for part in schema[composed].as_array().into_iter().flatten() {
            named(part, at, found);
        }
    }
}

#[test]
fn the_table_has_every_property_of_every_body() {
    let table: BTreeSet<_> = bodies()
        .into_iter()
        .flat_map(|(method, path, _, bodies)| {
            let mut found = Vec::new();
            for body in &bodies {
                places(body, "", &mut found);
            }
            // Of a list, any item has what the first may have.
            let first = |place: String| place.replace("/1", "/0").replace("/2", "/0");
            let found = found.into_iter().map(first);
            found.map(move |place| format!("{method} {path} {place}"))
        })
        .collect();
    let mut described = BTreeSet::new();
    for (path, item) in members(&DOCUMENT["paths"]) {
        for (method, operation) in members(item) {
            let mut found = BTreeSet::new();
            named(
                &operation["requestBody"]["content"][JSON]["schema"],
                "",
                &mut found,
            );
            let method = method.to_uppercase();
            described.extend(
                found
                    .into_iter()
                    .map(|place| format!("{method} {path} {place}")),
            );
        }
    }
    let missing: Vec<_> = described.difference(&table).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// Sends a body, and compares what came of it with what the document says of the body.
async fn compare(
    service: &Service,
    operation: &Operation,
    role: Role,
    body: &Value,
    what: &str,
) -> Option<String> {
    let path = operation.path.replace("{module}", "escrows");
    let path = path.replace("{id}", "none");
    let token = Token::user("u", &["t"]).in_role(role);
    let method = operation.method.parse().expect("a method");
    let request = service.client.request(method, service.url(&path));
    let request = request.bearer_auth(token.signed()).json(body);
    let (answer, faults) = Answer::compared(request).await;
    let (status, text) = (answer.status, answer.text);
    let content = &operation.request.as_ref().expect("a body").content;
    let described = DESCRIBED.schemas.check(content[JSON], body);
    let is_as_described = described.is_ok() == (status != 400);
    (!is_as_described || !faults.is_empty()).then(|| {
        let method = &operation.method;
        format!("{method} {path} {what}: {status} {text}, {described:?} {faults:?}")
    })
}

#[tokio::test]
async fn null_is_accepted_where_the_document_says_so() {
    let service = Service::with(&["--demo"]).await;
    let mut found = Vec::new();
    for (method, path, role, bodies) in bodies() {
        let operations = &DESCRIBED.operations;
        let mut operations = operations.iter();
        let operation = operations.find(|o| o.method == method && o.path == path);
        let operation = operation.expect("it is described");
        for body in &bodies {
            found.extend(compare(&service, operation, role, body, "as it is").await);
            let mut all = Vec::new();
            places(body, "", &mut all);
            for place in all {
                let mut with_null = body.clone();
                *with_null.pointer_mut(&place).expect("it is there") = Value::Null;
                found.extend(compare(&service, operation, role, &with_null, &place).await);
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
