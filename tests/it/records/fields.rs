//! The fields of a record: the same rules in all modules.

use serde_json::{Value, json};

use super::{Call, MODULES, agent, body, escrow, two};

/// A value for every field, in the form in which it is read again.
fn full(module: &str) -> Value {
    match module {
        "escrows" => json!({"address": "1 Oak St", "city": "Ukiah", "state": "CA", "zip": "95482",
            "status": "pending", "purchasePrice": 395_000.5, "earnestMoney": 0, "commission": 12,
            "openDate": "2025-01-02", "closeDate": "2025-03-01", "buyerName": "B", "sellerName": "S",
            "titleCompany": "T", "notes": "é\n\"quoted\" 🏠"}),
        "listings" => json!({"address": "2 Elm", "city": "Ukiah", "state": "CA", "zip": "95482",
            "status": "coming_soon", "listPrice": 1_000_000_000_000_i64, "soldPrice": 0.01,
            "commissionRate": 2.125, "bedrooms": 3, "bathrooms": 2.5, "squareFeet": 1800,
            "yearBuilt": 1962, "mlsNumber": "M-1", "listedOn": "2025-01-02",
            "soldOn": "2025-01-02", "description": ""}),
        "clients" => json!({"name": "Ann", "email": "ann@example.com", "phone": "+1 707 555 0100",
            "status": "past", "kind": "both", "budgetMin": 1, "budgetMax": 2,
            "tags": ["vip", "a,b"], "birthday": "1970-02-28", "notes": "x"}),
        "appointments" => json!({"title": "Showing", "status": "no_show", "kind": "open_house",
            "startsAt": "2025-11-02T12:00:00Z", "endsAt": "2025-11-02T12:00:00.5Z",
            "location": "1 Oak", "clientId": "c-1", "notes": "x"}),
        _ => json!({"name": "Bob", "email": "bob@example.com", "phone": "1", "status": "lost",
            "source": "web", "score": 100, "interest": "barns", "budget": 12.34,
            "followUpOn": "2025-12-31", "notes": "x"}),
    }
}

#[tokio::test]
async fn every_field_of_every_module_comes_back_as_it_went_in() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann");
    for (module, ..) in MODULES {
        let fields = full(module);
        let created = Call::by(&a, &ann).create(module, &fields).await;
        let record = body(&created, 201);
        for (name, value) in fields.as_object().expect("fields") {
            assert_eq!(record[name], *value, "{module} {name}");
        }
        assert_eq!(record["version"], 1);
        assert_eq!(
            (&record["teamId"], &record["ownerId"]),
            (&json!("a"), &json!("ann"))
        );
        assert_eq!(record["archivedAt"], Value::Null);
        assert_eq!(record["createdAt"], record["updatedAt"]);
        for hidden in ["brokerId", "updatedBy", "fieldVersions"] {
            assert!(record.get(hidden).is_none(), "{hidden}");
        }
        let path = format!("{module}/{}", record["id"].as_str().expect("an id"));
        assert_eq!(created.header("location"), format!("/records/{path}"));
        assert_eq!(created.header("etag"), "\"1\"");
        let got = Call::by(&b, &ann).get(&path).await;
        assert_eq!(body(&got, 200), record);
        assert_eq!(got.header("etag"), "\"1\"");
        assert_eq!(got.header("cache-control"), "no-store");
        assert!(got.header("stream-position").contains('-'));
    }
}

#[tokio::test]
async fn a_catalogue_names_every_field_and_no_other() {
    let [a, _] = two(&[]).await;
    let ann = agent("ann");
    let listed = a.list("/records", &ann).await;
    let modules = listed["modules"].as_array().expect("modules");
    assert_eq!(modules.len(), MODULES.len());
    for (described, (module, singular, required)) in modules.iter().zip(MODULES) {
        assert_eq!(
            (&described["name"], &described["singular"]),
            (&json!(module), &json!(singular))
        );
        let fields = described["fields"].as_array().expect("fields");
        let names = |which: &dyn Fn(&Value) -> bool| -> Vec<String> {
            let names = fields.iter().filter(|field| which(field));
            let mut names: Vec<_> = names
                .map(|f| f["name"].as_str().expect("a name").to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&|field| field["required"] == true), [required]);
        let fields = full(module);
        let mut own: Vec<_> = fields
            .as_object()
            .expect("fields")
            .keys()
            .cloned()
            .collect();
        own.extend(["teamId", "ownerId"].map(ToOwned::to_owned));
        own.sort();
        assert_eq!(names(&|field| field["writer"] == "anybody"), own);
        let database = ["archivedAt", "createdAt", "updatedAt", "version"];
        assert_eq!(names(&|field| field["writer"] == "database"), database);
    }
}

#[tokio::test]
async fn private_are_the_fields_that_the_configuration_names() {
    let [a, _] = two(&[]).await;
    let listed = a.list("/records", &agent("ann")).await;
    for module in porchlight::directory::Modules::default().iter() {
        let modules = listed["modules"].as_array().expect("modules");
        let described = modules.iter().find(|m| m["name"] == module.name.as_str());
        let fields = described.expect("a module")["fields"]
            .as_array()
            .expect("fields");
        let private = fields.iter().filter(|field| field["private"] == true);
        let private: Vec<_> = private.filter_map(|field| field["name"].as_str()).collect();
        assert_eq!(private, module.private.iter().collect::<Vec<_>>());
    }
    // The watch alone decides what is published, not the configuration.
    let [a, _] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "select module, array_agg(porchlight.camel_case(c.name))::text[]
         from porchlight.watches w join porchlight.watched_columns c using (watched)
         where c.role = 'private' group by module",
    )
    .fetch_all(&mut sql)
    .await
    .expect("rows");
    assert_eq!(rows.len(), MODULES.len());
    for (module, private) in rows {
        let modules = porchlight::directory::Modules::default();
        let module = modules
            .get(&module.parse().expect("a name"))
            .expect("a module");
        assert_eq!(private, module.private.iter().cloned().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_change_is_of_what_it_names_and_null_clears() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann");
    for (module, _, required) in MODULES {
        let mut fields = full(module);
        fields["id"] = json!("r.1:x-Y_z");
        let before = body(&Call::by(&a, &ann).create(module, &fields).await, 201);
        let path = format!("{module}/r.1:x-Y_z");
        let change = json!({required: "new", "notes": null, "status": fields["status"]});
        let change = if module == "listings" {
            json!({required: "new", "description": null})
        } else {
            change
        };
        let answer = Call::by(&b, &ann).patch(&path, &change).await;
        let after = body(&answer, 200);
        assert_eq!(answer.header("etag"), "\"2\"");
        for (name, value) in before.as_object().expect("fields") {
            match (name.as_str(), change.get(name)) {
                ("version", _) => assert_eq!(after[name], 2),
                ("updatedAt", _) => assert!(after[name].as_str() > value.as_str()),
                (_, Some(wished)) => assert_eq!(after[name], *wished, "{module} {name}"),
                _ => assert_eq!(after[name], *value, "{module} {name}"),
            }
        }
        // A write of the same values is no change.
        for nothing in [json!({}), change] {
            let again = body(&Call::by(&a, &ann).patch(&path, &nothing).await, 200);
            assert_eq!(again, after);
        }
    }
}

#[tokio::test]
async fn what_is_put_away_is_read_and_brought_back_and_not_written() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann");
    for (module, _, required) in MODULES {
        Call::by(&a, &ann)
            .create(module, &json!({"id": "x", required: "1"}))
            .await;
        let path = format!("{module}/x");
        for _ in 0..2 {
            let away = body(&Call::by(&a, &ann).put(&path, "archive").await, 200);
            assert_eq!(
                (away["version"].as_i64(), away["archivedAt"].is_string()),
                (Some(2), true)
            );
        }
        assert_eq!(
            body(&Call::by(&b, &ann).get(&path).await, 200)["version"],
            2
        );
        let refused = Call::by(&b, &ann)
            .patch(&path, &json!({required: "2"}))
            .await;
        refused.refused(409, "archived", module);
        for _ in 0..2 {
            let back = body(&Call::by(&b, &ann).put(&path, "restore").await, 200);
            assert_eq!(
                (back["version"].as_i64(), back["archivedAt"].is_null()),
                (Some(3), true)
            );
        }
        assert_eq!(Call::by(&a, &ann).delete(&path).await.status, 204);
        for answer in [
            Call::by(&b, &ann).get(&path).await,
            Call::by(&b, &ann).delete(&path).await,
            Call::by(&b, &ann).put(&path, "archive").await,
            Call::by(&b, &ann).patch(&path, &json!({})).await,
        ] {
            answer.refused(404, "unknown_record", &path);
        }
    }
}

#[tokio::test]
async fn an_id_is_taken_once_in_a_brokerage_and_free_in_another() {
    let [a, b] = two(&[]).await;
    escrow(&a).await;
    let fields = json!({"id": "e-1", "address": "2"});
    let taken = Call::by(&b, &agent("bob")).create("escrows", &fields).await;
    assert_eq!(taken.refused(409, "id_taken", "e-1").as_deref(), Some("id"));
    // Nothing in the answer distinguishes a record that exists from one that does not.
    let other_team = super::Token::user("eve", &["z"]);
    let unseen = Call::by(&b, &other_team).create("escrows", &fields).await;
    assert_eq!(unseen.text, taken.text);
    let other = agent("ann").of("c");
    body(&Call::by(&b, &other).create("escrows", &fields).await, 201);
    body(
        &Call::by(&b, &agent("ann"))
            .create("listings", &fields)
            .await,
        201,
    );
}

#[tokio::test]
async fn numbers_are_kept_as_they_are_written() {
    let [a, _] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let ann = agent("ann");
    let url = a.url("/records/escrows");
    let request = a.client.post(url).bearer_auth(ann.signed());
    let text = r#"{"id":"e","address":"1","purchasePrice":395000.00,"earnestMoney":9.5e2}"#;
    let request = request
        .header("content-type", "application/json")
        .body(text);
    let answer = crate::support::Answer::to(request).await;
    assert!(
        answer
            .text
            .contains("\"purchasePrice\":395000.00,\"earnestMoney\":950,"),
        "{}",
        answer.text
    );
    let sum: String =
        sqlx::query_scalar("select sum(purchase_price)::text from porchlight.escrows")
            .fetch_one(&mut sql)
            .await
            .expect("a sum");
    assert_eq!(sum, "395000.00");
}

#[tokio::test]
async fn both_media_types_of_a_patch_are_taken() {
    let [a, _] = two(&[]).await;
    escrow(&a).await;
    let ann = agent("ann");
    for (media_type, status) in [
        ("application/merge-patch+json", 200),
        ("application/json; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/json-patch+json", 415),
    ] {
        let request = a
            .client
            .patch(a.url("/records/escrows/e-1"))
            .bearer_auth(ann.signed());
        let request = request
            .header("content-type", media_type)
            .body("{\"city\":\"x\"}");
        assert_eq!(
            crate::support::Answer::to(request).await.status,
            status,
            "{media_type}"
        );
    }
}

#[tokio::test]
async fn whoever_writes_by_sql_raises_the_version_and_cannot_fake_it() {
    let [a, _] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let before = escrow(&a).await;
    super::run(
        &mut sql,
        "update porchlight.escrows set city = 'Ukiah', version = 99, id = 'x',
        broker_id = 'c', created_at = now(), field_versions = '{}'",
    )
    .await;
    let after = body(&Call::by(&a, &agent("ann")).get("escrows/e-1").await, 200);
    assert_eq!(
        (&after["version"], &after["city"]),
        (&json!(2), &json!("Ukiah"))
    );
    assert_eq!(after["createdAt"], before["createdAt"]);
    super::run(
        &mut sql,
        "update porchlight.escrows set city = 'Ukiah', version = 5",
    )
    .await;
    assert_eq!(
        body(&Call::by(&a, &agent("ann")).get("escrows/e-1").await, 200),
        after
    );
}
