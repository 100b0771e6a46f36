//! What values look like in events.

use serde_json::json;
use sqlx::Executor;

use super::Crm;

/// A type, a value of it, and how an event has it.
const VALUES: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("smallint", "-3", "-3"),
    ("bigint", "9007199254740993", "9007199254740993"),
    ("numeric", "395000.50", "395000.50"),
    ("numeric", "'NaN'", "\"NaN\""),
    ("double precision", "0.1", "0.1"),
    ("double precision", "'Infinity'", "\"Infinity\""),
    ("real", "1.5", "1.5"),
    (
        "text",
        "E'a \"quoted\" \\\\ line\\nand \\u00e9 \\u2028'",
        "\"a \\\"quoted\\\" \\\\ line\\nand \u{e9} \u{2028}\"",
    ),
    ("varchar(9)", "'x'", "\"x\""),
    (
        "uuid",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
    ),
    ("date", "'2025-11-02'", "\"2025-11-02\""),
    (
        "timestamp",
        "'2025-11-02 12:00:00.5'",
        "\"2025-11-02T12:00:00.5\"",
    ),
    (
        "timestamptz",
        "'2025-11-02 12:00:00.123456+02'",
        "\"2025-11-02T10:00:00.123456Z\"",
    ),
    ("timestamptz", "'infinity'", "\"infinity\""),
    (
        "timestamptz[]",
        "'{2025-11-02 12:00:00Z,NULL}'",
        "[\"2025-11-02T12:00:00Z\",null]",
    ),
    ("time", "'12:30'", "\"12:30:00\""),
    ("interval", "'1 day 2 hours'", "\"P1DT2H\""),
    (
        "jsonb",
        "'{\"b\": [1, 2.50, null], \"a\": {\"x\": \"y z\"}}'",
        "{\"a\":{\"x\":\"y z\"},\"b\":[1,2.50,null]}",
    ),
    ("json", "E'{\"b\" : 1,\\n\"a\": 2}'", "{\"b\":1,\"a\":2}"),
    ("jsonb", "'null'", "null"),
    ("text[]", "'{a,\"b c\",NULL}'", "[\"a\",\"b c\",null]"),
    ("int[][]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"),
    ("numeric[]", "'{}'", "[]"),
    ("bytea", "'\\x00ff'", "\"\\\\x00ff\""),
    ("point", "'(1,2)'", "\"(1,2)\""),
    ("int4range", "'[1,5)'", "\"[1,5)\""),
    ("inet", "'10.0.0.1'", "\"10.0.0.1\""),
    ("mood", "'glad'", "\"glad\""),
    ("euros", "12.5", "12.5"),
    ("pair", "row(1, 'x')", "{\"a\":1,\"b\":\"x\"}"),
    ("xml", "'<a/>'", "\"<a/>\""),
];

#[tokio::test]
async fn values_of_every_type_come_out_as_json_users_expect() {
    let mut crm = Crm::new().await;
    // Not every Postgres is built with it.
    let has_xml = crm.sql.execute("select '<a/>'::xml").await.is_ok();
    let known = VALUES.iter().copied();
    let known: Vec<_> = known
        .filter(|(kind, ..)| has_xml || *kind != "xml")
        .collect();
    let columns: Vec<_> = known
        .iter()
        .enumerate()
        .map(|(n, (kind, ..))| format!("v_{n} {kind}"))
        .collect();
    crm.run(
        "create type mood as enum ('glad', 'sad'); create domain euros as numeric;
         create type pair as (a int, b text)",
    )
    .await;
    crm.run(&format!(
        "create table public.things (id int primary key, {});
         select porchlight.watch('public.things', module => 'things', broker => 'b')",
        columns.join(", ")
    ))
    .await;
    let values: Vec<_> = known.iter().map(|(_, value, _)| *value).collect();
    let nulls = vec!["null"; known.len()];
    crm.run(&format!(
        "insert into public.things values (1, {}); insert into public.things values (2, {})",
        values.join(", "),
        nulls.join(", ")
    ))
    .await;
    for (n, (kind, value, _)) in known.iter().enumerate() {
        // The same again is no change, of whatever type it is.
        crm.run(&format!(
            "update public.things set v_{n} = {value}::{kind} where id = 1"
        ))
        .await;
        crm.run(&format!(
            "update public.things set v_{n} = {value}::{kind} where id = 2"
        ))
        .await;
    }
    // To the letter: as text, not as numbers of ours.
    let sql = "select coalesce(data, changes)::text from porchlight.events
         where module = 'things' order by position";
    crm.listed().await;
    let received: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut crm.sql)
        .await
        .unwrap();
    let fields = |value: fn(&(&str, &str, &'static str)) -> &'static str, id: u8| {
        let fields = known.iter().enumerate();
        let fields: Vec<_> = fields
            .map(|(n, v)| format!("\"v{n}\":{}", value(v)))
            .collect();
        format!("{{\"id\":{id},{}}}", fields.join(","))
    };
    assert_eq!(received[0], fields(|(_, _, received)| received, 1));
    assert_eq!(received[1], fields(|_| "null", 2));
    let changes = known.iter().enumerate();
    let changes: Vec<_> = changes
        .map(|(n, (_, _, received))| format!("{{\"v{n}\":{received}}}"))
        .collect();
    assert_eq!(received[2..], changes);
}

#[tokio::test]
async fn columns_are_named_in_camel_case_or_as_they_are() {
    let mut crm = Crm::new().await;
    let create = "create table public.things (id int primary key, list_price int, \"Odd \"\"Näme\" int,
             _leading int, trailing_ int, two__lines int, \"twiceNamed\" int, twice_named int, n_1 int)";
    crm.run(create).await;
    let row = "insert into public.things values (1, 1, 2, 3, 4, 5, 6, 7, 8)";
    let mut records = Vec::new();
    for camel_case in [true, false] {
        crm.run(&format!(
            "select porchlight.watch('public.things', module => 'things', broker => 'b',
                 camel_case => {camel_case}); delete from public.things; {row}"
        ))
        .await;
        records.push(crm.listed().await.last().unwrap()["data"].clone());
        crm.run("truncate public.things").await;
    }
    let camel = json!({"id": 1, "listPrice": 1, "Odd \"Näme": 2, "_leading": 3, "trailing_": 4,
        "twoLines": 5, "twiceNamed": 6, "twice_named": 7, "n1": 8});
    let plain = json!({"id": 1, "list_price": 1, "Odd \"Näme": 2, "_leading": 3, "trailing_": 4,
        "two__lines": 5, "twiceNamed": 6, "twice_named": 7, "n_1": 8});
    assert_eq!(records, [camel, plain]);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_published_without_its_data() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "alter table public.listings add column story text, add column secret_story text;
         insert into public.listings (id, team_id) values ('l-1', 'a');
         update public.listings set story = repeat('x', 65000);
         update public.listings set story = repeat('y', 65536);
         update public.listings set story = 'short'",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(
        received[1]["changes"]["story"].as_str().unwrap().len(),
        65_000
    );
    assert_eq!(received[1]["truncated"], json!(null));
    assert_eq!(received[2]["truncated"], true);
    assert_eq!(
        (&received[2]["type"], &received[2]["recordId"]),
        (&json!("listing:updated"), &json!("l-1"))
    );
    assert_eq!(
        (&received[2]["data"], &received[2]["changes"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(received[3]["changes"], json!({"story": "short"}));
}
