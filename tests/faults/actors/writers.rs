//! The CRM's own SQL on a watched table: writes that commit, that are undone, and that stay open, of
//! records that change their team and owner.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Transaction};
use tokio::task::JoinSet;

use super::people::{OWNERS, TEAMS};
use crate::history::{Entry, Outcome};
use crate::support::Chance;
use crate::world::World;

const WRITERS: usize = 2;
/// Records of one writer. The first stays locked by transactions that are long.
const RECORDS: usize = 4;
const TABLE: &str =
    "create table public.deals (id text primary key, broker_id text not null, team_id text,
        agent_id text, version bigint not null default 1, n bigint, commission bigint);
    select porchlight.watch('public.deals', module => 'appointments', broker_column => 'broker_id',
        team_column => 'team_id', owner_column => 'agent_id', version_column => 'version',
        private_columns => '{commission}')";

pub async fn create_table(world: &World) {
    let options: PgConnectOptions = world.database_url.parse().expect("a URL");
    let connection = PgConnection::connect_with(&options).await;
    let mut connection = connection.expect("a connection");
    let created = connection.execute(TABLE).await;
    created.expect("a watched table");
}

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for number in 0..WRITERS {
        let writer = Writer {
            world: Arc::clone(world),
            chance: chance.fork(),
            number,
        };
        actors.spawn(writer.run());
    }
}

struct Writer {
    world: Arc<World>,
    chance: Chance,
    number: usize,
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commits,
    RollsBack,
    StaysOpen,
}

impl Writer {
    async fn run(mut self) {
        let options: PgConnectOptions = self.world.database_url.parse().expect("a URL");
        let mut connection: Option<PgConnection> = None;
        while self.world.is_busy() {
            let ms = u64::try_from(self.chance.below(120)).expect("a time");
            tokio::time::sleep(Duration::from_millis(ms)).await;
            if connection.is_none() {
                connection = PgConnection::connect_with(&options).await.ok();
            }
            if let Some(open) = &mut connection
                && self.write(open).await.is_err()
            {
                connection = None;
            }
        }
    }

    /// One transaction with one write.
    async fn write(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let end = match self.chance.below(12) {
            0 => End::StaysOpen,
            1 | 2 => End::RollsBack,
            _ => End::Commits,
        };
        let record = match end {
            End::StaysOpen => 0,
            _ => 1 + self.chance.below(RECORDS - 1),
        };
        let id = format!("d-{}-{record}", self.number);
        let write = i64::try_from(self.world.number()).expect("a small number");
        let mut transaction = connection.begin().await?;
        let version = self.change(&mut transaction, &id, write).await?;
        self.world.note(Entry::Written {
            write,
            record: format!("appointments/{id}"),
            version,
        });
        if end == End::StaysOpen {
            let ms = 500 + u64::try_from(self.chance.below(2_500)).expect("a time");
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let (ended, is_undone) = match end {
            End::RollsBack => (transaction.rollback().await, true),
            _ => (transaction.commit().await, false),
        };
        let outcome = match (&ended, is_undone) {
            (_, true) => Outcome::Refused,
            (Ok(()), false) => Outcome::Done,
            (Err(_), false) => Outcome::Unknown,
        };
        self.world.note(Entry::WriteEnded { write, outcome });
        ended
    }

    /// Creates or changes the record. Now and then it moves to another team or owner, or is deleted.
    async fn change(
        &mut self,
        transaction: &mut Transaction<'_, Postgres>,
        id: &str,
        write: i64,
    ) -> sqlx::Result<i64> {
        let (team, owner) = (self.chance.of(&TEAMS), self.chance.of(&OWNERS));
        let moves = match self.chance.below(6) {
            0 => format!(", team_id = '{team}'"),
            1 => format!(", agent_id = '{owner}'"),
            2 => format!(", commission = {write}"),
            _ => String::new(),
        };
        let sql = format!(
            "insert into public.deals (id, broker_id, team_id, agent_id, n, commission)
                values ('{id}', 'b', '{team}', '{owner}', {write}, {write})
                on conflict (id) do update
                set version = public.deals.version + 1, n = excluded.n{moves}
                returning version"
        );
        let query = sqlx::query_scalar(AssertSqlSafe(sql));
        query.fetch_one(&mut **transaction).await
    }
}
