//! Several instances on one data directory.

use std::fs::{self, File};
use std::time::Duration;

use embedded_postgres::EmbeddedPostgres;
use tokio::time::timeout;

use super::service::Service;
use super::support::{TestDir, answers, read, runs, set_mode, write};

#[tokio::test]
async fn a_second_instance_attaches_and_does_not_stop_the_first_ones_server() {
    let dir = TestDir::new();
    let first = dir.start().await;
    let second = dir.start().await;
    assert!(first.is_owner());
    assert!(!second.is_owner());
    assert_eq!(first.postmaster_pid(), second.postmaster_pid());
    write(&second, "from the second").await;
    second.stop().await;

    assert_eq!(read(&first).await, ["from the second"]);
    first.stop().await;
}

#[tokio::test]
async fn an_instance_in_another_process_attaches_too() {
    let dir = TestDir::new();
    let service = Service::spawn(&dir);
    let attached = dir.start().await;
    assert!(!attached.is_owner());
    assert_eq!(attached.postmaster_pid(), Some(service.postmaster));
    attached.stop().await;
    assert!(runs(service.postmaster));
    service.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_start_at_once_share_one_server() {
    let dir = TestDir::new();
    let start = || tokio::spawn(EmbeddedPostgres::start(dir.config()));
    let (one, other) = tokio::try_join!(start(), start()).unwrap();
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.is_owner(), other.is_owner());
    assert_eq!(one.postmaster_pid(), other.postmaster_pid());
    let (owner, attached) = if one.is_owner() {
        (one, other)
    } else {
        (other, one)
    };
    attached.stop().await;
    assert!(answers(&owner).await);
    owner.stop().await;
}

#[tokio::test]
async fn one_that_waits_for_an_owner_who_goes_away_becomes_the_owner() {
    let dir = TestDir::new();
    fs::create_dir(dir.data()).unwrap();
    set_mode(&dir.data(), 0o755);
    let held = File::create(dir.data().join("lock")).unwrap();
    held.lock().unwrap();
    let mut waiting = Box::pin(dir.start());
    let too_early = timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(too_early.is_err());
    drop(held);

    let postgres = waiting.await;
    assert!(postgres.is_owner());
    postgres.stop().await;
}

#[tokio::test]
async fn the_server_itself_does_not_hold_the_lock() {
    let dir = TestDir::new();
    let postgres = dir.start().await;
    let open_files = format!("/proc/{}/fd", postgres.postmaster_pid().unwrap());
    if let Ok(entries) = fs::read_dir(open_files) {
        let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let targets: Vec<_> = targets.collect();
        assert!(targets.contains(&dir.data().join("postgres.log")));
        assert!(!targets.contains(&dir.data().join("lock")));
    }
    postgres.stop().await;
}
