//! Whatever is cut or killed: every client has every event of its scopes once, in order.

use std::sync::Arc;

use tokio::sync::watch;

use crate::support::cluster::TestDatabase;
use crate::support::own::OwnPostgres;
use crate::support::{Chance, Process, Service, short_or_long};

mod crowd;

use crowd::{Plan, crowd, event_count};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_are_cut_off_again_and_again_miss_nothing_and_get_nothing_twice() {
    let mut chance = Chance::new();
    let service = Service::with(&["--memory-mb=1"]).await;
    let cuts = short_or_long(60, 200);
    let plan = Plan::new(&mut chance, cuts);
    let base = service.url("");
    let result = crowd(&base, plan, async |_| {}).await;
    assert_eq!(result.cuts(), cuts);
    result.check(&mut service.database.connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_killed_again_and_again_loses_nothing_that_it_acknowledged() {
    let mut chance = Chance::new();
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_MEMORY_MB", "1")];
    let first = Process::start("127.0.0.1:0", &variables).await;
    let addr = first.addr.to_string();
    let plan = Plan::new(&mut chance, 20);
    let times = chance.sorted(short_or_long(3, 10), event_count() * 9 / 10);
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
async fn a_database_killed_again_and_again_loses_nothing_that_was_acknowledged() {
    let mut chance = Chance::new();
    let postgres = OwnPostgres::start().await;
    let url = postgres.url();
    let variables = [("DATABASE_URL", &url[..]), ("PORCHLIGHT_MEMORY_MB", "1")];
    let process = Process::start("127.0.0.1:0", &variables).await;
    let plan = Plan::new(&mut chance, 20);
    let times = chance.sorted(short_or_long(2, 5), event_count() * 9 / 10);
    let killing = async |mut acknowledged: watch::Receiver<usize>| {
        for time in times {
            let reached = acknowledged.wait_for(|n| *n >= time).await;
            drop(reached.expect("publishers go on"));
            postgres.kill().await;
        }
    };
    let result = crowd(&process.url(""), plan, killing).await;
    result.check(&mut postgres.connect().await).await;
}
