//! Whatever is cut or killed: every client has every event of its scopes once, in order.

use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use porchlight::database::embedded::{EmbeddedConfig, EmbeddedPostgres};
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::{Chance, Process, Service, eventually};

mod crowd;

use crowd::{EVENTS, Plan, crowd};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_are_cut_off_200_times_miss_nothing_and_get_nothing_twice() {
    let mut chance = Chance::new();
    let service = Service::with(&["--memory-mb=1"]).await;
    let plan = Plan::new(&mut chance, 200);
    let base = service.url("");
    let result = crowd(&base, plan, async |_| {}).await;
    assert_eq!(result.cuts(), 200);
    result.check(&mut service.database.connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_10_times_loses_nothing_that_it_acknowledged() {
    let mut chance = Chance::new();
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_MEMORY_MB", "1")];
    let first = Process::start("127.0.0.1:0", &variables).await;
    let addr = first.addr.to_string();
    let plan = Plan::new(&mut chance, 20);
    let times = chance.sorted(10, EVENTS * 9 / 10);
    let base = first.url("");
    let killing = async |mut acknowledged: watch::Receiver<usize>| {
        let mut process = first;
        for time in times {
            let reached = acknowledged.wait_for(|n| *n >= time).await;
            drop(reached.expect("publishers go on"));
            process.kill();
            process = Process::start(&addr, &variables).await;
        }
        process
    };
    let result = crowd(&base, plan, killing).await;
    result.check(&mut database.connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_5_times_loses_nothing_that_was_acknowledged() {
    let mut chance = Chance::new();
    let dir = open_dir();
    let mut config = EmbeddedConfig::new(dir.path());
    // Recovery begins with a sync of every file; one call does it faster.
    let sync = ("recovery_init_sync_method".into(), "syncfs".into());
    config.settings.push(sync);
    let postgres = EmbeddedPostgres::start(config).await.expect("a Postgres");
    let url = format!(
        "postgres://postgres@localhost/porchlight?host={}",
        postgres.socket_dir().display()
    );
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_MEMORY_MB", "1")];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let plan = Plan::new(&mut chance, 20);
    let times = chance.sorted(5, EVENTS * 9 / 10);
    let killing = async |mut acknowledged: watch::Receiver<usize>| {
        for time in times {
            let reached = acknowledged.wait_for(|n| *n >= time).await;
            drop(reached.expect("publishers go on"));
            let running = async || postgres.postmaster_pid();
            let pid = eventually("the database runs", running).await;
            let pid = i32::try_from(pid).expect("a pid");
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        }
    };
    let result = crowd(&process.url(""), plan, killing).await;
    let options = postgres.connect_options();
    let connect = async || PgConnection::connect_with(&options).await.ok();
    let mut connection = eventually("the database answers", connect).await;
    result.check(&mut connection).await;
    drop(connection);
    drop(process);
    postgres.stop().await;
}
