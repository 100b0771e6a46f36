//! The log as the database has it, noted in the history while the service runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, FromRow, PgConnection};

use crate::history::{Entry, EventFacts, Interest, LogRow};
use crate::world::World;

/// How often the database is asked.
const RHYTHM: Duration = Duration::from_millis(50);

/// The rows that were read so far.
#[derive(Default)]
pub struct LogMemory(Mutex<Vec<LogRow>>);

impl LogMemory {
    /// The position of the newest event so far that this reader must receive.
    pub fn newest_for(&self, interest: &Interest) -> Option<i64> {
        let rows = self.0.lock().expect("rows");
        let newest = rows.iter().rev().find(|row| interest.covers(row));
        newest.map(|row| row.position)
    }

    fn push(&self, row: LogRow) {
        self.0.lock().expect("rows").push(row);
    }
}

#[derive(FromRow)]
struct EventRow {
    position: i64,
    audience: String,
    r#type: String,
    record: Option<String>,
    version: Option<i64>,
    number: Option<String>,
    subject: Option<String>,
}

/// Where reading has got to.
#[derive(Default)]
struct Reading {
    position: i64,
    horizon: i64,
    /// None before the first look.
    epoch: Option<String>,
}

/// Reads the log until everything ends, and then to its end.
pub async fn read(world: Arc<World>) {
    let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
    let options: PgConnectOptions = world.database_url.parse().expect("a URL");
    let mut connection = None;
    loop {
        let is_last = world.ended.is_cancelled();
        if connection.is_none() {
            connection = PgConnection::connect_with(&options).await.ok();
        }
        if let Some(open) = &mut connection {
            let read = look(&world, open, &mut readings).await;
            if read.is_ok() && is_last {
                world.note(Entry::LogRead);
                return;
            }
            if read.is_err() {
                connection = None;
            }
        }
        tokio::time::sleep(RHYTHM).await;
    }
}

async fn look(
    world: &World,
    connection: &mut PgConnection,
    readings: &mut BTreeMap<String, Reading>,
) -> sqlx::Result<()> {
    let sql = "select broker_id, horizon, epoch from porchlight.brokers order by broker_id";
    let logs = sqlx::query_as::<_, (String, i64, String)>(sql);
    for (brokerage, horizon, epoch) in logs.fetch_all(&mut *connection).await? {
        let reading = readings.entry(brokerage.clone()).or_default();
        loop {
            let rows = rows(connection, &brokerage, reading.position).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                reading.position = row.position;
                let row = row.logged(&brokerage);
                world.note(Entry::Logged(row.clone()));
                world.log.push(row);
            }
        }
        if horizon > reading.horizon {
            reading.horizon = horizon;
            let brokerage = brokerage.clone();
            world.note(Entry::Trimmed { brokerage, horizon });
        }
        let before = reading.epoch.replace(epoch);
        if before.is_some_and(|before| reading.epoch.as_ref() != Some(&before)) {
            world.note(Entry::NewEpoch { brokerage });
        }
    }
    Ok(())
}

async fn rows(
    connection: &mut PgConnection,
    brokerage: &str,
    after: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let sql = "select position, audience, type, module || '/' || record_id as record, version,
            coalesce(data ->> 'n', changes ->> 'n', data ->> 'purchasePrice', changes ->> 'purchasePrice') as number,
            coalesce(data ->> 'taskId', data ->> 'fence') as subject
        from porchlight.events where broker_id = $1 and position > $2 order by position limit 500";
    let query = sqlx::query_as(sql).bind(brokerage).bind(after);
    query.fetch_all(connection).await
}

impl EventRow {
    fn logged(self, brokerage: &str) -> LogRow {
        LogRow {
            brokerage: brokerage.to_owned(),
            position: self.position,
            audience: self.audience,
            event: EventFacts {
                event_type: self.r#type,
                record: self.record,
                version: self.version,
                number: self.number.and_then(|number| number.parse().ok()),
                subject: self.subject,
            },
        }
    }
}

/// The same facts of an event as a client receives it.
pub fn facts(event: &Value) -> EventFacts {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let record = match (&event["module"], &event["recordId"]) {
        (Value::String(module), Value::String(id)) => Some(format!("{module}/{id}")),
        _ => None,
    };
    let numbers = [
        &event["data"]["n"],
        &event["changes"]["n"],
        &event["data"]["purchasePrice"],
        &event["changes"]["purchasePrice"],
    ];
    EventFacts {
        event_type: text(&event["type"]).unwrap_or_default(),
        record,
        version: event["version"].as_i64(),
        number: numbers.into_iter().find_map(Value::as_i64),
        subject: text(&event["data"]["taskId"]).or_else(|| text(&event["data"]["fence"])),
    }
}

/// The private value of an event, as it was sent.
pub fn secret(event: &Value) -> Option<String> {
    let values = [
        &event["data"]["commission"],
        &event["changes"]["commission"],
    ];
    let value = values.into_iter().find(|value| !value.is_null())?;
    let text = value.as_str().map(ToOwned::to_owned);
    Some(text.unwrap_or_else(|| value.to_string()))
}
