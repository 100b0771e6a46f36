//! A run, and the check of what it noted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::actors::Actors;
use crate::history::{self, Entry};
use crate::settings::{Settings, history_file};
use crate::support::Chance;
use crate::world::World;
use crate::{checker, log, report, trouble};

/// How often the memory of instances is measured.
const MEASURE: Duration = Duration::from_secs(1);
/// What began before the calm has ended by then.
const CALM: Duration = Duration::from_secs(8);
/// The longest time until all tasks have ended.
const FINISHED: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/faults runs it"]
#[expect(clippy::print_stdout, reason = "to repeat it")]
async fn run() {
    let settings = Settings::from_environment();
    println!(
        "seed {}, {:?}, {} instances; the history is {}",
        settings.seed,
        settings.time,
        settings.instances,
        settings.history.display()
    );
    let chance = Chance::of_seed(settings.seed);
    let world = Arc::new(World::start(settings).await);
    if !world.disk.can_be_full() {
        println!("skipped: a full disk needs a mount, which only root may make");
    }
    let reading = tokio::spawn(log::read(Arc::clone(&world)));
    let measuring = tokio::spawn(measure(Arc::clone(&world)));
    let mut actors = Actors::start(&world, chance).await;
    trouble::make(&world, &actors.readers).await;
    world.note(Entry::Calm);
    world.calm.cancel();
    tokio::time::sleep(CALM).await;
    finished(&world, &actors).await;
    trouble::until_all_is_read(&world, &actors.readers).await;
    actors.note(&world).await;
    world.ended.cancel();
    actors.ended().await;
    reading.await.expect("the log can be read");
    measuring.await.expect("no panic");
    world.note(Entry::Ended);
    world.stop().await;
    world.history.flush();
    drop(world);
    check_history();
}

/// Waits until what was begun is over; the checker says what is not.
async fn finished(world: &World, actors: &Actors) {
    let until = Instant::now() + FINISHED;
    while !actors.have_finished(world).await && Instant::now() < until {
        tokio::time::sleep(MEASURE).await;
    }
}

/// Checks a history that was written before.
#[test]
#[ignore = "scripts/faults --check runs it"]
fn check() {
    check_history();
}

fn check_history() {
    let lines = history::read(&history_file());
    let findings = checker::check(&lines);
    report::print(&lines, &findings);
    let count = findings.violations.len();
    assert_eq!(count, 0, "the history shows what must not be");
}

async fn measure(world: Arc<World>) {
    while !world.ended.is_cancelled() {
        for instance in &world.instances {
            instance.measure(&world.history).await;
        }
        tokio::time::sleep(MEASURE).await;
    }
}
