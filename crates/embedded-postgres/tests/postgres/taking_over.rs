//! Instances that run the server once its owner has ended.

use std::fs;
use std::process::Command;
use std::time::Duration;

use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres};
use tokio::time::timeout;

use super::service::Service;
use super::support::{TestDir, answers, eventually, read, runs, write};

async fn owns_and_answers(postgres: &EmbeddedPostgres) {
    eventually("it owns a server that answers", async || {
        postgres.is_owner() && answers(postgres).await
    })
    .await;
}

async fn crash_of(postgres: &EmbeddedPostgres) -> String {
    let crash = timeout(Duration::from_mins(1), postgres.crashed()).await;
    crash.expect("it is reported").to_string()
}

#[tokio::test]
async fn an_attached_instance_runs_the_server_once_its_owner_has_stopped() {
    let dir = TestDir::new();
    let owner = dir.start_durable().await;
    let attached = dir.start_durable().await;
    write(&attached, "kept").await;
    assert!(!attached.is_owner());
    owner.stop().await;

    owns_and_answers(&attached).await;
    assert_eq!(read(&attached).await, ["kept"]);
    let pid = attached.postmaster_pid().unwrap();
    attached.stop().await;
    assert!(!runs(pid));
}

#[tokio::test]
async fn an_attached_instance_runs_the_server_once_its_owner_was_killed() {
    let dir = TestDir::new();
    let owner = Service::spawn(&dir);
    let killed = owner.postmaster;
    let attached = dir.start_durable().await;
    write(&attached, "kept").await;
    owner.kill();

    owns_and_answers(&attached).await;
    assert!(!runs(killed));
    assert_eq!(read(&attached).await, ["kept"]);
    attached.stop().await;
}

#[tokio::test]
async fn one_of_several_attached_instances_takes_over_and_then_the_next() {
    let dir = TestDir::new();
    let owner = dir.start().await;
    let (one, other) = (dir.start().await, dir.start().await);
    owner.stop().await;
    eventually("one of them owns the server", async || {
        (one.is_owner() || other.is_owner()) && answers(&one).await
    })
    .await;
    assert_ne!(one.is_owner(), other.is_owner());
    assert_eq!(one.postmaster_pid(), other.postmaster_pid());

    let (second, third) = if one.is_owner() {
        (one, other)
    } else {
        (other, one)
    };
    second.stop().await;
    owns_and_answers(&third).await;
    third.stop().await;
}

#[tokio::test]
async fn an_instance_that_must_not_take_over_leaves_the_data_directory_to_others() {
    let dir = TestDir::new();
    let owner = dir.start().await;
    let config = EmbeddedConfig {
        takes_over: false,
        ..dir.config()
    };
    let visitor = EmbeddedPostgres::start(config).await.unwrap();
    owner.stop().await;
    let owns = timeout(Duration::from_secs(3), owns_and_answers(&visitor)).await;
    assert!(owns.is_err());

    let next = dir.start().await;
    assert!(next.is_owner() && answers(&visitor).await);
    next.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_taken_over_is_reported() {
    let dir = TestDir::new();
    let owner = dir.start().await;
    let attached = dir.start().await;
    fs::write(dir.cluster().join("postgresql.conf"), "nonsense = 1\n").unwrap();
    owner.stop().await;
    let message = crash_of(&attached).await;
    assert!(message.contains("could not run it"), "{message}");
    assert!(message.contains("nonsense"), "{message}");
    attached.stop().await;
}

#[tokio::test]
async fn a_cluster_that_took_the_place_of_the_former_one_is_not_taken_over() {
    let dir = TestDir::new();
    let owner = dir.start().await;
    let attached = dir.start().await;
    // The server works on in the directory that has another name now.
    let former = dir.data().join("former");
    fs::rename(dir.cluster(), &former).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .args([&former, &dir.cluster()])
        .status();
    assert!(copied.unwrap().success());
    owner.stop().await;
    let message = crash_of(&attached).await;
    assert!(message.contains("was replaced"), "{message}");
    attached.stop().await;
}
