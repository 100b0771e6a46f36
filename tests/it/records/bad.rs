//! Invalid fields are refused by name, and change nothing.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Call, agent, body, escrow, two};

#[tokio::test]
async fn every_wrong_field_is_named() {
    let [a, _] = two(&[]).await;
    let ann = agent("ann");
    let long = |n: usize| json!("x".repeat(n));
    for (module, field, bad) in [
        ("escrows", "address", json!("")),
        ("escrows", "address", Value::Null),
        ("escrows", "address", json!(7)),
        ("escrows", "address", long(301)),
        ("escrows", "address", json!("a\u{0}b")),
        ("escrows", "city", json!(["x"])),
        ("escrows", "notes", long(5_001)),
        ("escrows", "status", json!("Open")),
        ("escrows", "status", Value::Null),
        ("escrows", "purchasePrice", json!(-1)),
        ("escrows", "purchasePrice", json!(0.001)),
        ("escrows", "purchasePrice", json!(1_000_000_000_001_i64)),
        ("escrows", "purchasePrice", json!("395000")),
        ("escrows", "purchasePrice", json!(1e300)),
        ("escrows", "purchasePrice", json!(1e-300)),
        ("escrows", "purchasePrice", json!({})),
        ("escrows", "commission", json!("a lot")),
        ("escrows", "closeDate", json!("2025-02-30")),
        ("escrows", "closeDate", json!("02/03/2025")),
        ("escrows", "closeDate", json!("infinity")),
        ("escrows", "closeDate", json!("2025-02-01T00:00:00Z")),
        ("escrows", "closeDate", json!(20_250_201)),
        ("escrows", "id", json!("a b")),
        ("escrows", "id", json!(7)),
        ("escrows", "id", Value::Null),
        ("escrows", "teamId", json!("a b")),
        ("escrows", "ownerId", json!("")),
        ("listings", "bedrooms", json!(2.5)),
        ("listings", "bedrooms", json!(1e2)),
        ("listings", "bedrooms", json!(-1)),
        ("listings", "yearBuilt", json!(20_000)),
        ("listings", "commissionRate", json!(100.5)),
        ("clients", "email", json!("ann")),
        ("clients", "email", json!("a nn@example.com")),
        ("clients", "tags", json!("vip")),
        ("clients", "tags", json!([1])),
        ("clients", "tags", json!([null])),
        ("clients", "tags", json!(vec!["t"; 51])),
        ("clients", "tags", json!(["x".repeat(1_001)])),
        ("clients", "tags", json!([["x"]])),
        ("appointments", "startsAt", json!("2025-11-02 12:00")),
        ("appointments", "startsAt", json!("2025-11-02T12:00:00")),
        ("appointments", "startsAt", json!("tomorrow")),
        ("appointments", "startsAt", json!("0000-01-01T00:00:00Z")),
        ("appointments", "clientId", json!("c 1")),
        ("leads", "score", json!(101)),
        ("leads", "score", json!(true)),
    ] {
        let mut fields = json!({"address": "1", "name": "n", "title": "t"});
        for needless in ["address", "name", "title"] {
            let is_needed = matches!(
                (module, needless),
                ("escrows" | "listings", "address")
                    | ("clients" | "leads", "name")
                    | ("appointments", "title")
            );
            if !is_needed {
                fields.as_object_mut().expect("fields").remove(needless);
            }
        }
        fields[field] = bad.clone();
        let answer = Call::by(&a, &ann).create(module, &fields).await;
        let what = format!("{module} {field} {bad}");
        assert_eq!(
            answer.refused(400, "invalid_field", &what).as_deref(),
            Some(field)
        );
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
    let nothing = a.list("/records/escrows?archived=all", &ann).await;
    assert_eq!(nothing["records"], json!([]));
}

#[tokio::test]
async fn all_wrong_fields_are_shown_together() {
    let [a, _] = two(&[]).await;
    let fields = json!({"colour": "red", "version": 7, "score": 101, "status": "x"});
    let answer = Call::by(&a, &agent("ann")).create("leads", &fields).await;
    answer.refused(400, "unknown_field", "many");
    let mut errors: Vec<_> = answer.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            [&error["field"], &error["code"]].map(|v| v.as_str().expect("text").to_owned())
        })
        .collect();
    errors.sort();
    let expected = [
        ("colour", "unknown_field"),
        ("name", "invalid_field"),
        ("score", "invalid_field"),
        ("status", "invalid_field"),
        ("version", "read_only_field"),
    ];
    assert_eq!(errors, expected.map(|(f, c)| [f.to_owned(), c.to_owned()]));
}

#[tokio::test]
async fn what_only_the_whole_record_shows_to_be_wrong_is_named_too() {
    let [a, _] = two(&[]).await;
    let ann = agent("ann");
    for (module, fields, field, bad) in [
        (
            "escrows",
            json!({"address": "1", "openDate": "2025-02-01"}),
            "closeDate",
            json!("2025-01-31"),
        ),
        (
            "clients",
            json!({"name": "n", "budgetMin": 2}),
            "budgetMax",
            json!(1),
        ),
        (
            "appointments",
            json!({"title": "t", "startsAt": "2025-01-01T00:00:00Z"}),
            "endsAt",
            json!("2025-01-01T01:00:00+01:00"),
        ),
        (
            "listings",
            json!({"address": "1", "listedOn": "2025-02-01"}),
            "soldOn",
            json!("2025-01-31"),
        ),
    ] {
        let record = body(&Call::by(&a, &ann).create(module, &fields).await, 201);
        let path = format!("{module}/{}", record["id"].as_str().expect("an id"));
        let answer = Call::by(&a, &ann).patch(&path, &json!({field: bad})).await;
        assert_eq!(
            answer.refused(400, "invalid_field", field).as_deref(),
            Some(field)
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .expect("words")
                .contains("must")
        );
        assert_eq!(body(&Call::by(&a, &ann).get(&path).await, 200), record);
    }
}

#[tokio::test]
async fn a_change_is_refused_whole() {
    let [a, _] = two(&[]).await;
    let before = escrow(&a).await;
    let ann = agent("ann");
    for (bad, code, field) in [
        (json!({"city": "x", "id": "e-1"}), "read_only_field", "id"),
        (
            json!({"city": "x", "version": 1}),
            "read_only_field",
            "version",
        ),
        (json!({"createdAt": null}), "read_only_field", "createdAt"),
        (
            json!({"updatedAt": "2025-01-01T00:00:00Z"}),
            "read_only_field",
            "updatedAt",
        ),
        (json!({"archivedAt": null}), "read_only_field", "archivedAt"),
        (json!({"broker_id": "c"}), "unknown_field", "broker_id"),
        (json!({"brokerId": "c"}), "unknown_field", "brokerId"),
        (json!({"updatedBy": "x"}), "unknown_field", "updatedBy"),
        (
            json!({"fieldVersions": {}}),
            "unknown_field",
            "fieldVersions",
        ),
        (
            json!({"purchase_price": 1}),
            "unknown_field",
            "purchase_price",
        ),
        (
            json!({"city": "x", "address": null}),
            "invalid_field",
            "address",
        ),
    ] {
        let answer = Call::by(&a, &ann).patch("escrows/e-1", &bad).await;
        assert_eq!(
            answer.refused(400, code, &bad.to_string()).as_deref(),
            Some(field)
        );
    }
    for bad in [
        "",
        "[]",
        "7",
        "null",
        "{",
        "{\"city\":1}x",
        "{\"city\":\"a\",\"city\":\"b\"}",
    ] {
        let request = a
            .client
            .patch(a.url("/records/escrows/e-1"))
            .bearer_auth(ann.signed());
        let request = request.header("content-type", "application/json").body(bad);
        let answer = crate::support::Answer::to(request).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text);
    }
    assert_eq!(
        body(&Call::by(&a, &ann).get("escrows/e-1").await, 200),
        before
    );
}

#[tokio::test]
async fn rubbish_parameters_and_headers_are_named() {
    let [a, _] = two(&[]).await;
    escrow(&a).await;
    let ann = agent("ann");
    for (query, field) in [
        ("colour=red", "colour"),
        ("status=Open", "status"),
        ("status=", "status"),
        ("owner=a%20", "owner"),
        ("team=", "team"),
        ("archived=maybe", "archived"),
        ("sort=", "sort"),
        ("sort=colour", "sort"),
        ("sort=commission", "sort"),
        ("sort=--createdAt", "sort"),
        ("sort=purchase_price", "sort"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=", "cursor"),
        ("cursor=zz", "cursor"),
        ("cursor=%C3%A4%C3%A4", "cursor"),
        ("cursor=7b7d", "cursor"),
        ("q=%00", "q"),
    ] {
        let answer = Call::by(&a, &ann).get(&format!("escrows?{query}")).await;
        let named = answer.refused(400, "invalid_parameter", query);
        assert_eq!(named.as_deref(), Some(field), "{query}");
    }
    let long = format!("escrows?q={}", "x".repeat(201));
    Call::by(&a, &ann)
        .get(&long)
        .await
        .refused(400, "invalid_parameter", "q");
    for (name, bad) in [
        ("If-Match", "x"),
        ("If-Match", "\"x\""),
        ("If-Match", "\"1"),
        ("If-Match", "-1"),
        ("If-Match", "\"1\","),
        ("Lock-Fence", "x"),
        ("Lock-Fence", ""),
        ("Lock-Fence", "-1"),
    ] {
        let call = Call::by(&a, &ann).with(name, bad);
        let answer = call.patch("escrows/e-1", &json!({"city": "x"})).await;
        let named = answer.refused(400, "invalid_parameter", bad);
        assert_eq!(named.as_deref(), Some(name), "{bad:?}");
    }
    for (method, path, status, code) in [
        (Method::GET, "/records/boats", 404, "no_records"),
        (Method::GET, "/records/boats/1", 404, "no_records"),
        (Method::POST, "/records/boats", 404, "no_records"),
        (Method::PATCH, "/records/boats/1", 404, "no_records"),
        (Method::DELETE, "/records/boats/1", 404, "no_records"),
        (Method::POST, "/records/boats/1/archive", 404, "no_records"),
        (
            Method::GET,
            "/records/escrows/a%20b",
            400,
            "invalid_parameter",
        ),
        (Method::GET, "/records/a%20b", 400, "invalid_parameter"),
        (
            Method::GET,
            "/records/escrows/e-1?x=1",
            400,
            "invalid_parameter",
        ),
        (
            Method::PATCH,
            "/records/escrows/e-1?merge=all",
            400,
            "invalid_parameter",
        ),
        (
            Method::DELETE,
            "/records/escrows/e-1?x=1",
            400,
            "invalid_parameter",
        ),
        (
            Method::POST,
            "/records/escrows/e-1/restore?x=1",
            400,
            "invalid_parameter",
        ),
        (
            Method::PUT,
            "/records/escrows/e-1",
            405,
            "method_not_allowed",
        ),
    ] {
        let fields = match method {
            Method::POST | Method::PATCH => json!({}),
            _ => Value::Null,
        };
        let answer = Call::by(&a, &ann).send(method.clone(), path, &fields).await;
        answer.refused(status, code, &format!("{method} {path}"));
    }
    for action in ["archive", "restore"] {
        let path = format!("/records/escrows/e-1/{action}");
        for body in [json!({"city": "x"}), json!([])] {
            let answer = Call::by(&a, &ann).send(Method::POST, &path, &body).await;
            answer.refused(400, "invalid_body", &path);
        }
    }
    for (method, path) in [
        (Method::GET, "/records"),
        (Method::GET, "/records/escrows"),
        (Method::POST, "/records/escrows"),
        (Method::PATCH, "/records/escrows/e-1"),
        (Method::DELETE, "/records/escrows/e-1"),
        (Method::POST, "/records/escrows/e-1/archive"),
    ] {
        let answer = crate::support::Answer::to(a.client.request(method, a.url(path))).await;
        answer.refused(401, "token_missing", path);
    }
}
