//! Several instances on one data directory.

use std::fs::{self, File};
use std::time::Duration;

use porchlight::database::embedded::EmbeddedPostgres;
use tokio::time::timeout;

use super::service::Service;
use super::support::{Place, answers, read, runs, set_mode, write};

#[tokio::test]
async fn a_second_instance_attaches_and_does_not_stop_the_first_ones_server() {
    let place = Place::new();
    let first = place.start().await;
    let second = place.start().await;
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
    let place = Place::new();
    let service = Service::spawn(&place);
    let attached = place.start().await;
    assert!(!attached.is_owner());
    assert_eq!(attached.postmaster_pid(), Some(service.postmaster));
    attached.stop().await;
    assert!(runs(service.postmaster));
    service.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_start_at_once_share_one_server() {
    let place = Place::new();
    let start = || tokio::spawn(EmbeddedPostgres::start(place.config()));
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
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    set_mode(&place.data(), 0o755);
    let held = File::create(place.data().join("lock")).unwrap();
    held.lock().unwrap();
    let mut waiting = Box::pin(place.start());
    let too_early = timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(too_early.is_err());
    drop(held);

    let postgres = waiting.await;
    assert!(postgres.is_owner());
    postgres.stop().await;
}

#[tokio::test]
async fn the_server_itself_does_not_hold_the_lock() {
    let place = Place::new();
    let postgres = place.start().await;
    let open_files = format!("/proc/{}/fd", postgres.postmaster_pid().unwrap());
    if let Ok(entries) = fs::read_dir(open_files) {
        let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let targets: Vec<_> = targets.collect();
        assert!(targets.contains(&place.data().join("postgres.log")));
        assert!(!targets.contains(&place.data().join("lock")));
    }
    postgres.stop().await;
}
