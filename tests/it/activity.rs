//! What people did, as sentences, as far as the reader may know of it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::appending::append_own;
use crate::support::cluster::TestDatabase;
use crate::support::instances::two;
use crate::support::people::{admin, agent};
use crate::support::sql::run;
use crate::support::{Answer, Service, Token, eventually};

async fn activity(service: &Service, who: &Token, query: &str) -> Vec<Value> {
    let page = service.list(&format!("/activity{query}"), who).await;
    page["activity"].as_array().expect("a list").clone()
}

async fn texts(service: &Service, who: &Token, query: &str) -> Vec<String> {
    let page = activity(service, who, query).await;
    page.iter()
        .map(|one| one["text"].as_str().expect("a text").to_owned())
        .collect()
}

/// An event of a listing, to a team.
fn listing(verb: &str, record: &str, more: Value) -> Value {
    let mut event = json!({"type": format!("listing:{verb}"), "audience": {"team": "a"},
        "module": "listings", "recordId": record, "userId": "josh"});
    let Value::Object(more) = more else {
        panic!("no object: {more}");
    };
    event.as_object_mut().expect("an object").extend(more);
    event
}

const TABLE: &str = "create table public.listings (id text primary key, broker_id text default 'b',
        team_id text, agent_id text, updated_by text, version int default 1, address text,
        list_price numeric, commission_rate numeric, notes text, updated_at timestamptz default now());
    select porchlight.watch('public.listings', module => 'listings', broker_column => 'broker_id',
        team_column => 'team_id', owner_column => 'agent_id', version_column => 'version',
        actor_column => 'updated_by', private_columns => '{commission_rate}',
        hidden_columns => '{notes}')";

#[tokio::test]
async fn changes_of_a_watched_table_say_from_which_value_to_which() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let mut sql = database.connect().await;
    run(&mut sql, TABLE).await;
    service.list("/events", &agent("josh").called("Josh")).await;
    for statement in [
        "insert into public.listings (id, team_id, agent_id, updated_by, address, list_price)
            values ('l-1', 'a', 'ann', 'josh', '12 Oak St', 400000)",
        "update public.listings set list_price = 395000, version = 2, updated_at = now()",
        "update public.listings set commission_rate = 2.5, notes = 'a secret'",
        "update public.listings set address = '14 Oak St', list_price = null",
        "update public.listings set team_id = 'z'",
    ] {
        run(&mut sql, statement).await;
    }
    let expected_of = |commission: &str| {
        vec![
            "14 Oak St is no longer with your team".to_owned(),
            "Josh changed the address and the list price of 14 Oak St".to_owned(),
            format!("Josh changed the commission rate of 14 Oak St{commission}"),
            "Josh changed the list price of 14 Oak St from $400,000 to $395,000".to_owned(),
            "Josh created 14 Oak St".to_owned(),
        ]
    };
    for (who, commission) in [
        (agent("bob"), ""),
        (agent("ann"), " to 2.5"),
        (admin(&["a"]), " to 2.5"),
    ] {
        let said = eventually("all is published", async || {
            let said = texts(&service, &who, "").await;
            (said.len() == 5 && said[0].contains("Oak")).then_some(said)
        })
        .await;
        assert_eq!(said, expected_of(commission), "{who:?}");
        let page = activity(&service, &who, "").await;
        let shown = if commission.is_empty() {
            json!("[REDACTED]")
        } else {
            json!(2.5)
        };
        assert_eq!(page[2]["changes"]["commissionRate"], shown);
        let text = json!(page).to_string();
        assert!(
            !text.contains("a secret") && !text.contains("previous"),
            "{text}"
        );
    }
    // The other team has the record from then on, and nothing from before.
    let said = texts(&service, &Token::user("zoe", &["z"]), "").await;
    assert_eq!(said, ["Josh created 14 Oak St"]);
}

#[tokio::test]
async fn activity_has_everything_that_people_do_and_nothing_else() {
    let service = Service::start().await;
    let bob = agent("bob");
    let holder = json!({"userId": "ann", "session": "t"});
    for event in [
        listing(
            "created",
            "l-1",
            json!({"data": {"address": "12 Oak St", "beds": 3}}),
        ),
        listing("updated", "l-1", json!({"changes": {"beds": 4}})),
        listing("locked", "l-1", json!({"data": {"holder": holder}})),
        listing(
            "unlocked",
            "l-1",
            json!({"data": {"holder": holder, "reason": "released"}}),
        ),
        listing(
            "unlocked",
            "l-1",
            json!({"data": {"reason": "taken_over", "holder": holder}}),
        ),
        listing("withdrawn", "l-1", json!({})),
        listing("toured", "l-1", json!({})),
        listing("archived", "l-2", json!({"data": "not an object"})),
        listing("restored", "l-2", json!({"changes": [1, 2]})),
        listing(
            "deleted",
            "l-2",
            json!({"data": {"address": "\u{0}", "x": "\u{0}"}}),
        ),
        json!({"type": "test:tick", "audience": {"team": "a"}}),
        json!({"type": "ai:task:progress", "audience": {"user": "bob"}, "data": {"title": "Import"}}),
        json!({"type": "ai:task:completed", "audience": {"user": "bob"}, "data": {"title": "Import"}}),
        json!({"type": "ai:task:completed", "audience": {"user": "bob"},
            "data": {"title": "A part", "parentId": "t-1"}}),
        json!({"type": "ai:task:failed", "audience": {"user": "eve"}, "data": {"title": "Not his"}}),
        json!({"type": "notification:info", "audience": {"user": "bob"}, "data": {"title": "t"}}),
    ] {
        append_own(&service, &event).await;
    }
    assert_eq!(
        texts(&service, &bob, "").await,
        [
            "Import is done",
            "josh deleted listing l-2",
            "josh restored listing l-2",
            "josh archived listing l-2",
            "josh withdrew 12 Oak St",
            "josh took over the lock on 12 Oak St from ann",
            "josh changed the beds of 12 Oak St to 4",
            "josh created 12 Oak St",
        ]
    );
    let newest = &activity(&service, &bob, "?module=listings&recordId=l-1").await[2];
    let position = newest["position"].as_str().unwrap();
    let (at, position) = (newest["at"].clone(), position.to_owned());
    assert!(
        at.as_str().unwrap().ends_with('Z') && position.starts_with("2-"),
        "{newest}"
    );
    assert_eq!(
        *newest,
        json!({"position": position, "at": at, "userId": "josh", "userName": "josh",
        "type": "listing:updated", "module": "listings", "recordId": "l-1", "label": "12 Oak St",
        "text": "josh changed the beds of 12 Oak St to 4", "changes": {"beds": 4}})
    );
}

#[tokio::test]
async fn pages_and_filters_have_what_is_theirs_once() {
    let [a, b] = &two(&[]).await;
    let bob = agent("bob");
    let mut all = Vec::new();
    for n in 0..25 {
        let record = format!("l-{}", n % 3);
        let user = ["josh", "ann"][n % 2];
        let more = json!({"userId": user, "changes": {"beds": n}});
        a.publish(&listing("updated", &record, more)).await;
        all.push(format!(
            "{user} changed the beds of listing {record} to {n}"
        ));
    }
    all.reverse();
    assert_eq!(texts(b, &bob, "").await, all[..20]);
    for (filter, word) in [
        ("", " "),
        ("user=ann&", "ann "),
        ("module=listings&", " "),
        ("module=listings&recordId=l-1&", " l-1 "),
        ("module=listings&recordId=l-2&user=josh&", "nobody"),
    ] {
        let expected = all.iter().filter(|text| match word {
            "nobody" => text.contains("josh ") && text.contains(" l-2 "),
            word => text.contains(word),
        });
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = b
                .list(&format!("/activity?{filter}limit=4{cursor}"), &bob)
                .await;
            let texts = page["activity"].as_array().unwrap().iter();
            seen.extend(texts.map(|one| one["text"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
            // What happens meanwhile moves nothing.
            a.publish(&json!({"type": "test:tick", "audience": {"team": "a"}}))
                .await;
        }
        assert_eq!(seen, expected.cloned().collect::<Vec<_>>(), "{filter}");
    }
    assert_eq!(texts(b, &bob, "?module=leads").await, [""; 0]);
    // From the page on, nothing is missed.
    let answer = Answer::to(b.get("/activity", &bob)).await;
    let position = answer.header("stream-position");
    let mut stream = b.stream(&format!("/stream?since={position}"), &bob).await;
    a.publish(&listing("sold", "l-1", json!({}))).await;
    assert_eq!(stream.next_logged().await.name, "listing:sold");
}

#[tokio::test]
async fn nobody_reads_of_events_that_were_not_for_them() {
    let [a, b] = &two(&[]).await;
    for team in ["a", "z"] {
        let mut event = listing(
            "created",
            "l-1",
            json!({"data": {"address": format!("{team} St")}}),
        );
        event["audience"] = json!({"team": team});
        a.publish(&event).await;
    }
    for (who, said) in [
        (agent("bob"), vec!["josh created a St"]),
        (Token::user("zoe", &["z"]), vec!["josh created z St"]),
        (
            Token::user("cid", &["a", "z"]),
            vec!["josh created z St", "josh created z St"],
        ),
        (Token::user("eve", &[]), vec![]),
        (agent("bob").of("c"), vec![]),
    ] {
        assert_eq!(texts(b, &who, "").await, said, "{who:?}");
        let of_record = texts(b, &who, "?module=listings&recordId=l-1").await;
        assert_eq!(of_record, said, "{who:?}");
    }
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let service = Service::start().await;
    let bob = agent("bob");
    service.publish(&listing("sold", "l-1", json!({}))).await;
    for (query, code, field) in [
        ("limit=0", "invalid_parameter", "limit"),
        ("limit=101", "invalid_parameter", "limit"),
        ("limit=-1", "invalid_parameter", "limit"),
        ("cursor=x", "invalid_parameter", "cursor"),
        ("cursor=", "invalid_parameter", "cursor"),
        ("module=castles", "unknown_module", "module"),
        ("module=a%20b", "invalid_parameter", "module"),
        ("recordId=l-1", "invalid_parameter", "recordId"),
        (
            "module=listings&recordId=a%2Fb",
            "invalid_parameter",
            "recordId",
        ),
        ("user=a%00", "invalid_parameter", "user"),
        ("record=listings/l-1", "invalid_parameter", "record"),
        ("limit=1&limit=1", "invalid_parameter", "limit"),
    ] {
        let answer = Answer::to(service.get(&format!("/activity?{query}"), &bob)).await;
        let named = answer.refused(400, code, query);
        assert_eq!(named.as_deref(), Some(field), "{query}");
    }
    let answer = Answer::to(service.get("/activity?cursor=1-zzzzzz", &bob)).await;
    answer.refused(410, "cursor_unknown", "another log");
    assert_eq!(
        texts(&service, &bob, "?cursor=2").await,
        ["josh sold listing l-1"]
    );
    // A log of which nothing is known is empty.
    assert_eq!(texts(&service, &bob.clone().of("new"), "").await, [""; 0]);
}

#[tokio::test]
async fn who_gives_a_record_away_has_not_changed_what_is_private() {
    let service = Service::start().await;
    let ann = agent("ann");
    let record = service.url("/records/escrows");
    let made = json!({"id": "e-1", "address": "12 Oak St", "commission": 9_000});
    let given = json!({"ownerId": "bob"});
    for (request, body) in [
        (service.client.post(&record), made),
        (service.client.patch(format!("{record}/e-1")), given),
    ] {
        let answer = Answer::to(request.bearer_auth(ann.signed()).json(&body)).await;
        assert!(answer.status < 300, "{body}");
    }
    let said = eventually("both are published", async || {
        let said = texts(&service, &ann, "").await;
        (said.len() == 2).then_some(said)
    })
    .await;
    let expected = "ann changed the owner of 12 Oak St from ann to bob";
    assert_eq!(said, [expected, "ann created 12 Oak St"]);
}

#[tokio::test]
async fn json_that_cannot_be_read_as_a_value_is_listed_to_the_letter_and_hides_nothing_private() {
    let service = Service::start().await;
    let odd = r#"{"area":1e400,"note":"\ud800"}"#;
    for changes in [odd, r#"{"commissionRate":123.25,"\ud800":1}"#] {
        let body = format!(
            r#"{{"type":"listing:updated","audience":{{"team":"a"}},"module":"listings","recordId":"l-1","changes":{changes}}}"#
        );
        let request = service.client.post(service.url("/events")).body(body);
        let request = request.bearer_auth(Token::service("b").signed());
        let request = request.header("content-type", "application/json");
        assert_eq!(Answer::to(request).await.status, 201);
    }
    for path in ["/activity", "/events"] {
        let request = service.get(path, &agent("bob"));
        let page = Answer::to(request).await.text;
        assert!(page.contains(odd), "{page}");
        assert!(!page.contains("123.25"), "{page}");
    }
}
