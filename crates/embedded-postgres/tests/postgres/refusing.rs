//! What is refused, with which message, and what is left behind.

use std::fs;
use std::path::{Path, PathBuf};

use embedded_postgres::EmbeddedPostgres;

use super::support::{TestDir, am_root, answers, refusal, set_mode, write_script};

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_by_both_names() {
    let dir = TestDir::new();
    dir.start().await.stop().await;
    fs::write(dir.cluster().join("PG_VERSION"), "99\n").unwrap();
    let refusal = dir.refusal().await;
    assert!(refusal.contains("made by Postgres 99"), "{refusal}");
    for way_out in ["pg_upgrade", "ACME_DATA_DIR", "PG_BIN_DIR"] {
        assert!(refusal.contains(way_out), "{refusal}");
    }
}

#[tokio::test]
async fn a_crash_while_the_cluster_is_made_leaves_nothing_half() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.bin_dir = Some(binaries_with_an_initdb_that(
        &dir,
        "mkdir $2/base && echo 15 > $2/PG_VERSION && echo 'out of luck' >&2 && exit 1",
    ));
    let refusal = refusal(config).await;
    assert!(refusal.contains("out of luck"), "{refusal}");
    assert_eq!(left_in(&dir.data()), ["lock"]);

    let postgres = dir.start().await;
    assert!(answers(&postgres).await);
    postgres.stop().await;
}

#[tokio::test]
async fn what_a_power_cut_left_of_a_cluster_in_the_making_is_removed() {
    let dir = TestDir::new();
    let half = dir.data().join("initdb-4711");
    fs::create_dir_all(&half).unwrap();
    set_mode(&dir.data(), 0o755);
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    let postgres = dir.start().await;
    assert!(answers(&postgres).await);
    assert!(!half.exists());
    postgres.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_no_cluster_is_left_alone() {
    let dir = TestDir::new();
    fs::create_dir_all(dir.cluster()).unwrap();
    set_mode(&dir.data(), 0o755);
    let diary = dir.cluster().join("diary");
    fs::write(&diary, "dear").unwrap();
    let refusal = dir.refusal().await;
    assert!(refusal.contains("not a Postgres cluster"), "{refusal}");
    assert!(diary.exists());
}

#[tokio::test]
async fn a_private_home_on_the_way_is_refused_by_name() {
    if !am_root() {
        return;
    }
    let dir = TestDir::new();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    set_mode(&home, 0o700);
    let mut config = dir.config();
    config.data_dir = home.join("data");
    let refusal = refusal(config).await;
    let named = format!("may not enter {} ", home.display());
    assert!(refusal.contains(&named), "{refusal}");
    assert!(refusal.contains("ACME_DATA_DIR"), "{refusal}");
}

#[tokio::test]
async fn a_setting_that_postgres_refuses_is_reported_at_once_with_its_message() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.settings = vec![("max_connections".to_owned(), "many".to_owned())];
    let refusal = refusal(config).await;
    assert!(refusal.contains("\"max_connections\""), "{refusal}");
    dir.start().await.stop().await;
}

#[tokio::test]
async fn a_socket_directory_that_somebody_else_has_made_is_refused() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.data_dir = dir.path().join("d".repeat(120));
    let postgres = EmbeddedPostgres::start(config.clone()).await.unwrap();
    let socket_dir = postgres.socket_dir().to_owned();
    postgres.stop().await;

    fs::create_dir(&socket_dir).unwrap();
    set_mode(&socket_dir, 0o777);
    let refusal = refusal(config).await;
    fs::remove_dir(&socket_dir).unwrap();
    assert!(refusal.contains("others may enter it"), "{refusal}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = TestDir::new();
    fs::write(dir.data(), "a file").unwrap();
    let mut config = dir.config();
    config.data_dir = dir.data().join("below");
    let refusal = refusal(config).await;
    assert!(refusal.contains("cannot create"), "{refusal}");
    assert!(refusal.contains("data/below"), "{refusal}");
}

#[tokio::test]
async fn a_named_directory_without_postgres_is_refused() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.bin_dir = Some(dir.path().to_owned());
    let refusal = refusal(config).await;
    assert!(refusal.contains("PG_BIN_DIR"), "{refusal}");
    assert!(refusal.contains("no postgres"), "{refusal}");
}

/// A pretended `postgres` and an `initdb` that runs `script`.
fn binaries_with_an_initdb_that(dir: &TestDir, script: &str) -> PathBuf {
    let dir = dir.path().join("bin");
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o755);
    write_script(&dir.join("initdb"), script);
    write_script(&dir.join("postgres"), "echo 'postgres (PostgreSQL) 15.1'");
    dir
}

fn left_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}
