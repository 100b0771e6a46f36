//! A worker of all brokerages serves them in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use porchlight::log::EventCommitter;
use porchlight::log::{ChangeHints, CommitNotifier, PeerNotifier, TaskNotices};
use porchlight::platform::Dice;
use porchlight::platform::Metrics;
use porchlight::platform::{DedicatedConnection, Pool, Queues};
use porchlight::tasks::{ClaimRequest, ProgressWriterParts, Reports, TaskParts, TaskRules, Tasks};
use porchlight::tasks::{OutputLoaderParts, OutputReads};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::{Chance, Service, eventually};

/// What a claim may read of tasks, however many there are: the candidates, and some more.
const MOST_ROWS: i64 = 100;

/// The tasks as an instance has them, with connections of its own.
pub(super) struct TaskStore {
    pub(super) tasks: Tasks,
    pool: Pool,
}

impl TaskStore {
    pub(super) fn of(database: &TestDatabase) -> Self {
        let pool = PgPoolOptions::new().max_connections(4);
        let pool = Pool::from(pool.connect_lazy_with(database.options()));
        let (notifier, _) = CommitNotifier::new(
            ChangeHints::default(),
            PeerNotifier::default(),
            &Queues::default(),
        );
        let committer = EventCommitter::new(Dice::system(), notifier);
        let (reports, keeping) = Reports::start(ProgressWriterParts {
            database: DedicatedConnection::new(pool.clone()),
            committer: committer.clone(),
            queues: Queues::default(),
            stop: tokio_util::sync::CancellationToken::new(),
        });
        tokio::spawn(keeping.into_future());
        let rules = TaskRules {
            usual_lease_seconds: 30,
            lease_seconds: 1..=60,
            cancel: Duration::from_secs(30),
            backoff: Duration::ZERO,
            event_bytes: 65_536,
        };
        let notices = TaskNotices::default();
        let (output_reads, loading) = OutputReads::start(OutputLoaderParts {
            database: DedicatedConnection::new(pool.clone()),
            hints: notices.here.clone(),
            poll: Duration::from_secs(1),
            metrics: Metrics::new(),
            stop: tokio_util::sync::CancellationToken::new(),
        });
        tokio::spawn(loading.into_future());
        let tasks = Tasks::new(TaskParts {
            pool: pool.clone(),
            committer,
            reports,
            rules,
            notices,
            output_reads,
        });
        Self { tasks, pool }
    }

    async fn claim(&self) -> Option<String> {
        let claimed = self.tasks.claim_anywhere(&wanted()).await.expect("a claim");
        Some(claimed?.broker.as_str().to_owned())
    }
}

pub(super) fn wanted() -> ClaimRequest {
    ClaimRequest {
        worker: "built-in".parse().unwrap(),
        types: vec!["import".parse().unwrap()],
        lease_seconds: 30,
    }
}

/// A database that is migrated, with no service at it that would claim or sweep.
async fn database() -> (Arc<TestDatabase>, PgConnection) {
    let service = Service::start().await;
    let database = Arc::clone(&service.database);
    service.stop().await;
    let sql = database.connect().await;
    (database, sql)
}

/// Tasks of a brokerage, each older than all that are queued after it.
async fn queue(sql: &mut PgConnection, broker: &str, tasks: i32) {
    let queue = "insert into porchlight.tasks
            (broker_id, id, user_id, type, params, max_attempts, created_at)
        select $1, gen_random_uuid(), 'ann', 'import', '{}', 3,
            clock_timestamp() + n * interval '1 us'
        from generate_series(1, $2) n";
    let queue = sqlx::query(queue).bind(broker).bind(tasks);
    queue.execute(sql).await.expect("tasks");
}

#[tokio::test]
async fn one_task_behind_many_of_another_brokerage_is_claimed_second() {
    let (database, mut sql) = database().await;
    let store = TaskStore::of(&database);
    for (many, one) in [("a", "b"), ("z", "y")] {
        queue(&mut sql, many, 200).await;
        queue(&mut sql, one, 1).await;
        let claimed = [store.claim().await, store.claim().await];
        assert!(claimed.contains(&Some(one.to_owned())), "{claimed:?}");
        for _ in 0..5 {
            assert_eq!(store.claim().await.as_deref(), Some(many));
        }
        // Also one that comes when others have been at work for long.
        queue(&mut sql, one, 1).await;
        assert_eq!(store.claim().await.as_deref(), Some(one));
        let rest = "update porchlight.tasks set state = 'cancelled', ended_at = now()
            where state = 'queued'";
        sqlx::query(rest).execute(&mut sql).await.expect("an end");
    }
}

#[tokio::test]
async fn brokerages_are_served_in_turn_by_all_instances_together() {
    let (database, mut sql) = database().await;
    let names: Vec<_> = (0..20).map(|n| format!("b-{n:02}")).collect();
    for (name, tasks) in names.iter().zip((3..23).rev()) {
        queue(&mut sql, name, tasks).await;
    }
    let stores = [
        TaskStore::of(&database),
        TaskStore::of(&database),
        TaskStore::of(&database),
    ];
    let mut claimed = Vec::new();
    for n in 0..60 {
        claimed.push(stores[n % 3].claim().await.expect("a task"));
    }
    for turn in claimed.chunks(20) {
        let served: BTreeSet<_> = turn.iter().collect();
        assert_eq!(served.len(), 20, "each once in twenty: {turn:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_at_the_same_moment_are_of_different_brokerages() {
    const TURNS: usize = 4;
    let (database, mut sql) = database().await;
    for n in 0..10 {
        queue(&mut sql, &format!("b-{n}"), 50).await;
    }
    let claiming = (0..5).map(|_| {
        let store = TaskStore::of(&database);
        async move {
            let mut claimed = Vec::new();
            for _ in 0..2 * TURNS {
                claimed.push(store.claim().await.expect("a task"));
            }
            claimed
        }
    });
    let claimed = futures_util::future::join_all(claiming).await;
    let mut served = BTreeMap::new();
    for broker in claimed.into_iter().flatten() {
        *served.entry(broker).or_insert(0) += 1;
    }
    assert!(served.values().all(|claims| *claims == TURNS), "{served:?}");
}

#[tokio::test]
async fn no_brokerage_has_two_turns_while_another_waits() {
    let mut chance = Chance::new();
    let (database, mut sql) = database().await;
    let stores = [TaskStore::of(&database), TaskStore::of(&database)];
    let names: Vec<_> = (0..6).map(|n| format!("b-{n}")).collect();
    let mut queued: BTreeMap<String, i32> = BTreeMap::new();
    // Brokerages that were served while this one waited.
    let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..200 {
        if chance.below(3) == 0 {
            let (name, tasks) = (chance.of(&names).clone(), *chance.of(&[1, 1, 2, 9]));
            queue(&mut sql, &name, tasks).await;
            *queued.entry(name.clone()).or_default() += tasks;
            before.entry(name).or_default();
        }
        let served = stores[chance.below(2)].claim().await;
        let Some(served) = served else {
            assert!(queued.is_empty(), "{queued:?}");
            continue;
        };
        before.remove(&served);
        for (waiting, had) in &mut before {
            assert!(
                had.insert(served.clone()),
                "{served} twice before {waiting}"
            );
        }
        let left = queued.get_mut(&served).expect("it had one");
        *left -= 1;
        if *left == 0 {
            queued.remove(&served);
        } else {
            before.insert(served, BTreeSet::new());
        }
    }
}

/// Rows that were read of the table of tasks, by the database's own account.
async fn rows_read(database: &TestDatabase) -> (i64, i64) {
    let read = "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0), n_tup_upd
        from pg_stat_user_tables where schemaname = 'porchlight' and relname = 'tasks'";
    let mut sql = database.connect().await;
    let read = sqlx::query_as(read).fetch_one(&mut sql);
    read.await.expect("an account")
}

#[tokio::test]
async fn a_claim_reads_few_rows_however_many_wait_or_rest() {
    const CLAIMS: i64 = 20;
    let (database, mut sql) = database().await;
    queue(&mut sql, "a", 100_000).await;
    queue(&mut sql, "b", 20_000).await;
    let rest = "update porchlight.tasks set run_after = now() + interval '1 hour'
        where broker_id = 'b'";
    sqlx::query(rest).execute(&mut sql).await.expect("a rest");
    queue(&mut sql, "b", 10).await;
    queue(&mut sql, "c", 10).await;
    let other = "update porchlight.tasks set type = 'other' where broker_id = 'a' and id < '8'";
    sqlx::query(other).execute(&mut sql).await.expect("a type");
    // An account is whole when its connection is gone.
    sql.close().await.expect("a goodbye");
    let (read, written) = eventually("what was prepared is counted", async || {
        let (read, written) = rows_read(&database).await;
        (written > 20_000 + 40_000).then_some((read, written))
    })
    .await;
    let store = TaskStore::of(&database);
    for turn in ["a", "b", "c"]
        .iter()
        .cycle()
        .take(usize::try_from(CLAIMS).unwrap())
    {
        assert_eq!(store.claim().await.as_deref(), Some(*turn));
    }
    store.pool.close().await;
    let all = eventually("the claims are counted", async || {
        let (all, now_written) = rows_read(&database).await;
        (now_written >= written + CLAIMS).then_some(all)
    })
    .await;
    assert!(
        all - read < CLAIMS * MOST_ROWS,
        "{} rows for {CLAIMS} claims",
        all - read
    );
}

#[tokio::test]
async fn a_rest_ends_though_many_of_another_brokerage_end_at_the_same_time() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    // At once, so that one look finds all.
    let rested = "insert into porchlight.tasks
            (broker_id, id, user_id, type, params, max_attempts, created_at, run_after)
        select case when n > 2000 then 'b' else 'a' end, gen_random_uuid(), 'ann', 'import', '{}', 3,
            now() - interval '1 hour', now() - interval '1 hour' + n * interval '1 ms'
        from generate_series(1, 2001) n";
    sqlx::query(rested).execute(&mut sql).await.expect("tasks");
    // Brokerages that were served before `b` was.
    let before = "select count(a.*) from porchlight.events b
        left join porchlight.events a on a.broker_id = 'a' and a.created_at < b.created_at
        where b.broker_id = 'b' and b.type = 'ai:task:available' group by b.broker_id";
    let received = eventually("the one of b is published", async || {
        let mut sql = service.database.connect().await;
        let received = sqlx::query_scalar::<_, i64>(before).fetch_optional(&mut sql);
        received.await.expect("a count")
    })
    .await;
    assert!(received <= 1, "{received} of another brokerage came first");
}
