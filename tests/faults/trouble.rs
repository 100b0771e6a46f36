//! Carries out the plan: lets things fail, heals them, and waits until readers are up to date.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use crate::actors::{Readers, Target};
use crate::history::Entry;
use crate::plan::{Fault, Plan, Step};
use crate::support::Proxy;
use crate::support::proxy::Flow;
use crate::world::World;

/// The next fault does not wait longer for readers; the checker has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);

/// Lets things fail until the time is over.
pub async fn make(world: &Arc<World>, readers: &Readers) {
    let settings = &world.settings;
    let until = Instant::now() + settings.time;
    let mut plan = Plan::new(settings.seed, settings.instances);
    let mut number = 0;
    while Instant::now() < until {
        let step = plan.next_step();
        let mut faults = [Some(step.fault), step.with].into_iter().flatten();
        if !faults.all(|fault| is_wanted(world, fault)) {
            continue;
        }
        world.note(Entry::FaultBegan {
            fault: number,
            kind: step.kind(),
        });
        fail(world, &step).await;
        world.note(Entry::FaultEnded { fault: number });
        number += 1;
        sleep(step.calm).await;
        until_all_is_read(world, readers).await;
    }
}

fn is_wanted(world: &World, fault: Fault) -> bool {
    let only = world.settings.only.as_ref();
    let is_possible = fault != Fault::FillDisk || world.disk.can_be_full();
    is_possible && only.is_none_or(|only| fault.kind().contains(only))
}

/// Waits until every reader has what was in the log when this was called.
pub async fn until_all_is_read(world: &World, readers: &Readers) {
    let until = Instant::now() + PATIENCE;
    let targets = readers.targets(world);
    while !targets.iter().all(Target::is_reached) && Instant::now() < until {
        sleep(LOOK).await;
    }
}

/// Carries out the faults of a step, from their begin to their end.
async fn fail(world: &World, step: &Step) {
    match step.with {
        Some(second) => {
            tokio::join!(
                carry_out(world, step.fault, step.lasts),
                carry_out(world, second, step.lasts)
            );
        }
        None => carry_out(world, step.fault, step.lasts).await,
    }
}

async fn carry_out(world: &World, fault: Fault, lasts: Duration) {
    let at = |n: usize| &world.instances[n];
    match fault {
        Fault::CutClients(n) => at(n).front.cut(),
        Fault::CutAllClients => world.instances.iter().for_each(|i| i.front.cut()),
        Fault::SilenceClients(n) => silence(&at(n).front, lasts).await,
        Fault::SlowClients(n, flow) => slow(&at(n).front, flow, lasts).await,
        Fault::RefuseClients(n) => refuse(&at(n).front, lasts).await,
        Fault::CutDatabase(n) => at(n).back.cut(),
        Fault::SilenceDatabase(n) => silence(&at(n).back, lasts).await,
        Fault::SlowDatabase(n, flow) => slow(&at(n).back, flow, lasts).await,
        Fault::RefuseDatabase(n) => refuse(&at(n).back, lasts).await,
        Fault::Kill(n) => {
            at(n).kill(&world.history).await;
            sleep(lasts).await;
            at(n).restart().await;
        }
        Fault::Pause(n) => {
            at(n).signal(Signal::SIGSTOP).await;
            sleep(lasts).await;
            at(n).signal(Signal::SIGCONT).await;
        }
        Fault::Drain(n) => {
            at(n).signal(Signal::SIGTERM).await;
            at(n).ended(&world.history).await;
            at(n).restart().await;
        }
        Fault::Hurry(n) => {
            at(n).signal(Signal::SIGTERM).await;
            sleep(Duration::from_millis(100)).await;
            at(n).hurry(&world.history).await;
            at(n).restart().await;
        }
        Fault::CutListeners => cut_listeners(world, lasts).await,
        Fault::KillPostgres => {
            let postgres = world.postgres.lock().await;
            postgres.kill().await;
            // It restarts by itself, and the fault is over when it answers.
            drop(postgres.connect().await);
        }
        Fault::StopPostgres => {
            let mut postgres = world.postgres.lock().await;
            postgres.go_away().await;
            sleep(lasts).await;
            postgres.come_back().await;
        }
        Fault::FillDisk => {
            world.disk.fill();
            use_disk(world, lasts).await;
            world.disk.free();
        }
    }
}

async fn silence(proxy: &Proxy, lasts: Duration) {
    proxy.silence();
    sleep(lasts).await;
    proxy.cut();
}

async fn slow(proxy: &Proxy, flow: Flow, lasts: Duration) {
    proxy.set_flow(flow);
    sleep(lasts).await;
    proxy.set_flow(Flow::Free);
}

async fn refuse(proxy: &Proxy, lasts: Duration) {
    proxy.set_flow(Flow::Refused);
    proxy.cut();
    sleep(lasts).await;
    proxy.set_flow(Flow::Free);
}

/// Writes until the end, so that Postgres needs space: for data, and for new segments of its own log.
async fn use_disk(world: &World, lasts: Duration) {
    let options: PgConnectOptions = world.database_url.parse().expect("a URL");
    let until = Instant::now() + lasts;
    let mut refused = 0;
    while Instant::now() < until {
        if let Ok(mut connection) = PgConnection::connect_with(&options).await {
            let write = "create table if not exists public.ballast (text text);
                 insert into public.ballast select repeat(md5(random()::text), 100)
                     from generate_series(1, 2000);
                 truncate public.ballast; select pg_switch_wal()";
            refused += usize::from(connection.execute(write).await.is_err());
        } else {
            refused += 1;
        }
        sleep(LOOK).await;
    }
    world.note(Entry::DiskFull { refused });
}

/// Ends the connections that wait for notices, again and again.
async fn cut_listeners(world: &World, lasts: Duration) {
    let options = world.database_url.parse().expect("a URL");
    let Ok(mut connection) = PgConnection::connect_with(&options).await else {
        return;
    };
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query ilike 'listen%'";
        let _ = connection.execute(cut).await;
        sleep(LOOK).await;
    }
}
