//! Writers that make random changes.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::Instant;

use super::super::{Call, MODULES};
use crate::support::sql::run;
use crate::support::{Chance, Service, Token};

/// Records of each module: few, so that writers meet.
const RECORDS: usize = 9;

/// A module, its required field, its private one, and one of text that has no rules.
fn module(chance: &mut Chance) -> (&'static str, &'static str, &'static str, &'static str) {
    let (module, _, required) = *chance.of(&MODULES);
    let (private, text) = match module {
        "escrows" => ("commission", "city"),
        "listings" => ("commissionRate", "city"),
        "appointments" => ("notes", "location"),
        _ => ("notes", "phone"),
    };
    (module, required, private, text)
}

/// The value of a private field: some are numbers.
fn secret(field: &str, n: usize) -> Value {
    match field {
        "notes" => json!(format!("secret \"{n}\" 🏠")),
        _ => json!(n % 100),
    }
}

/// Writes by requests until it is time.
pub async fn by_endpoint(service: &Service, who: Token, mut chance: Chance, until: Instant) {
    while Instant::now() < until {
        let (module, required, private, text) = module(&mut chance);
        let path = format!("{module}/r-{}", chance.below(RECORDS));
        let n = chance.below(1_000);
        let team = chance.of(&[json!("a"), json!("z"), Value::Null]).clone();
        let owner = chance
            .of(&[json!("ann"), json!("bob"), json!("cid")])
            .clone();
        let mut call = Call::by(service, &who);
        if chance.below(3) == 0 {
            call = call.knowing(i64::try_from(chance.below(12)).expect("small"));
        }
        let answer = match chance.below(15) {
            0..4 => {
                let id = path.rsplit('/').next();
                let fields = json!({"id": id, required: n.to_string(), "teamId": team,
                    "ownerId": owner, private: secret(private, n)});
                call.create(module, &fields).await
            }
            4..6 => call.patch(&path, &json!({text: n.to_string()})).await,
            6 => {
                let merging = format!("{path}?merge=fields");
                call.patch(&merging, &json!({required: n.to_string()}))
                    .await
            }
            7 => {
                call.patch(&path, &json!({private: secret(private, n)}))
                    .await
            }
            8 => call.patch(&path, &json!({private: null, text: null})).await,
            9 => call.patch(&path, &json!({"teamId": team})).await,
            10 => call.patch(&path, &json!({"ownerId": owner})).await,
            11 => call.put(&path, "archive").await,
            12..14 => call.put(&path, "restore").await,
            _ => {
                call.send(Method::DELETE, &format!("/records/{path}"), &Value::Null)
                    .await
            }
        };
        assert!(answer.status < 500, "{}", answer.text);
    }
}

/// Writes in transactions of its own until it is time; some are undone.
pub async fn by_sql(mut sql: PgConnection, broker: &str, mut chance: Chance, until: Instant) {
    // Deadlocks are found soon.
    run(&mut sql, "set deadlock_timeout = '20ms'").await;
    while Instant::now() < until {
        run(&mut sql, "begin").await;
        let mut is_well = true;
        for _ in 0..=chance.below(4) {
            is_well = is_well && step(&mut sql, broker, &mut chance).await;
        }
        let end = if is_well && chance.below(4) > 0 {
            "commit"
        } else {
            "rollback"
        };
        run(&mut sql, end).await;
    }
}

/// Runs one statement of a transaction, and says whether that goes on. The victim of a deadlock
/// begins again.
async fn step(sql: &mut PgConnection, broker: &str, chance: &mut Chance) -> bool {
    let text = statement(broker, chance);
    match sql.execute(AssertSqlSafe(text.clone())).await {
        Ok(_) => true,
        Err(error) => {
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(String::from));
            assert!(code.as_deref() == Some("40P01"), "{text}: {error}");
            false
        }
    }
}

fn statement(broker: &str, chance: &mut Chance) -> String {
    let (module, required, private, text) = module(chance);
    let private = if private == "commissionRate" {
        "commission_rate"
    } else {
        private
    };
    let n = chance.below(100);
    let team = *chance.of(&["'a'", "'z'", "null"]);
    let owner = *chance.of(&["'ann'", "'bob'", "'zoe'", "null"]);
    let id = chance.below(RECORDS);
    let table = format!("porchlight.{module}");
    // One record, some, or all there are.
    let which = match chance.below(4) {
        0 | 1 => format!("broker_id = '{broker}' and id = 'r-{id}'"),
        2 => format!("broker_id = '{broker}' and hashtext(id || {n}) % 3 = 0"),
        _ => format!("broker_id = '{broker}'"),
    };
    match chance.below(12) {
        0..2 => format!("insert into {table} (broker_id, id, {required}, team_id, owner_id, {private})
            select '{broker}', 'r-' || i, '{n}', {team}, {owner}, {n} from generate_series(0, {id}) i
            on conflict (broker_id, id) do nothing"),
        2 => format!("insert into {table} (broker_id, id, {required}, team_id, owner_id)
            select '{broker}', 'r-' || i, '{n}', {team}, {owner} from generate_series({id}, {RECORDS}) i
            on conflict (broker_id, id) do update set {text} = 'again', team_id = excluded.team_id"),
        3..5 => format!("update {table} set {text} = '{n}' where {which}"),
        5 => format!("update {table} set {private} = {n}, owner_id = {owner} where {which}"),
        6 => format!("update {table} set team_id = {team}, {private} = {n} where {which}"),
        7 => format!("update {table} set team_id = {team}, owner_id = {owner},
            archived_at = case when {n} % 2 = 0 then now() end where {which}"),
        8 => format!("update {table} set archived_at = now(), {text} = '{n}' where {which}"),
        9 => format!("update {table} set archived_at = null where {which}"),
        10 => format!("delete from {table} where {which}"),
        _ => format!("savepoint s; update {table} set {text} = 'undone', owner_id = {owner} where {which};
            rollback to s; update {table} set {private} = null where {which}"),
    }
}
