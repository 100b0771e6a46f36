//! Brokerages may live on several Postgres servers, because nothing in the database needs two of them together: rows of
//! two brokerages never meet in a statement, few statements touch several brokerages, and few transactions change several.

mod functions;
mod plan;
mod several;
mod transactions;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::support::cluster::TestDatabase;
use crate::support::sql::run;
use plan::{Plan, Tables};
use several::{NOT_SHOWN, SEVERAL};

/// A statement of the service, as sqlx has recorded it.
struct Statement {
    text: String,
    parameters: usize,
}

impl Statement {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
        let files = std::fs::read_dir(folder)
            .expect("recorded statements")
            .flatten();
        let mut all: Vec<_> = files.map(|file| Self::read(&file.path())).collect();
        // These cannot be prepared, and touch no table.
        all.retain(|statement| !statement.text.starts_with("set "));
        assert!(all.len() > 100, "the statements were not found");
        all
    }

    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a statement");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let parameters = json["describe"]["parameters"]["Left"].as_array();
        Self {
            text: json["query"].as_str().expect("a query").trim().to_owned(),
            parameters: parameters.map_or(0, Vec::len),
        }
    }

    /// How Postgres runs it, whatever its parameters are.
    async fn plan(&self, sql: &mut PgConnection, tables: &Tables) -> Plan {
        let nulls = vec!["null"; self.parameters].join(", ");
        let arguments = if nulls.is_empty() {
            nulls
        } else {
            format!("({nulls})")
        };
        run(sql, &format!("prepare probe as {}", self.text)).await;
        let explain = format!("explain (verbose, costs off, format json) execute probe{arguments}");
        let explained = sql.fetch_one(AssertSqlSafe(explain)).await;
        let explained: String = explained.expect("a plan").get_unchecked(0);
        run(sql, "deallocate probe").await;
        let json: Value = serde_json::from_str(&explained).expect("JSON");
        Plan::read(&json[0]["Plan"], tables)
    }
}

async fn plan_of(text: &str, sql: &mut PgConnection, tables: &Tables) -> Plan {
    let parameters = (1..10)
        .take_while(|n| text.contains(&format!("${n}")))
        .count();
    let text = text.to_owned();
    Statement { text, parameters }.plan(sql, tables).await
}

#[tokio::test]
async fn no_statement_lets_two_brokerages_meet_and_few_touch_several() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    run(&mut sql, "set plan_cache_mode = force_generic_plan").await;
    let tables = Tables::read(&mut sql).await;
    let mut unused: BTreeSet<_> = SEVERAL.iter().map(|known| known.text).collect();
    let mut found = Vec::new();
    for statement in Statement::all() {
        let plan = statement.plan(&mut sql, &tables).await;
        let is_shown = !NOT_SHOWN.iter().any(|text| statement.text.contains(text));
        if is_shown && !plan.keeps_brokerages_apart() {
            found.push(format!("rows of two brokerages meet: {}", statement.text));
        }
        let known = SEVERAL
            .iter()
            .find(|known| statement.text.contains(known.text));
        if let Some(known) = known {
            unused.remove(known.text);
        }
        if plan.is_of_one_brokerage() == known.is_some() {
            let wrong = if known.is_some() {
                "one brokerage, but in the list"
            } else {
                "several brokerages"
            };
            found.push(format!("{wrong}: {}", statement.text));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n\n"));
    assert!(unused.is_empty(), "no such statements: {unused:?}");
}

#[tokio::test]
async fn statements_that_break_the_rule_are_noticed() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    run(&mut sql, "set plan_cache_mode = force_generic_plan").await;
    let tables = Tables::read(&mut sql).await;
    let locks = "from porchlight.tasks t join porchlight.locks l on";
    for (text, is_apart, is_of_one) in [
        (
            "select 1 from porchlight.tasks where broker_id = $1 and id = $2",
            true,
            true,
        ),
        ("select 1 from porchlight.tasks where id = $1", true, false),
        (
            "select 1 from porchlight.tasks where broker_id = any($1::text[])",
            true,
            false,
        ),
        (
            "delete from porchlight.tasks where ended_at < now()",
            true,
            false,
        ),
        (
            "update porchlight.people set name = $2 where user_id = $1",
            true,
            false,
        ),
        (
            "insert into porchlight.people (broker_id, user_id, name) values ($1, $2, $3)",
            true,
            true,
        ),
        (
            "insert into porchlight.people (broker_id, user_id, name) select b, 'u', 'n' from unnest($1::text[]) b",
            true,
            false,
        ),
        (
            &format!("select 1 {locks} l.broker_id = t.broker_id where t.broker_id = $1"),
            true,
            true,
        ),
        (
            &format!("select 1 {locks} l.broker_id = t.broker_id"),
            true,
            false,
        ),
        (
            &format!("select 1 {locks} l.record_id = t.id where t.broker_id = $1"),
            false,
            false,
        ),
        (
            &format!("select 1 {locks} l.record_id = t.id"),
            false,
            false,
        ),
        (
            "insert into porchlight.people (broker_id, user_id, name) select $1, user_id, name from porchlight.people where broker_id = $2",
            false,
            true,
        ),
    ] {
        let plan = plan_of(text, &mut sql, &tables).await;
        let seen = (plan.keeps_brokerages_apart(), plan.is_of_one_brokerage());
        assert_eq!(seen, (is_apart, is_of_one), "{text}\n{plan:#?}");
    }
}
