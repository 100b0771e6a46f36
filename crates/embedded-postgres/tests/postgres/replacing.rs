//! Replacing the cluster of a data directory.

use std::fs;

use embedded_postgres::{EmbeddedPostgres, Replacement};

use super::support::{TestDir, read, write};

/// A new cluster, filled with these words.
async fn filled(dir: &TestDir, words: &str) -> Replacement {
    let replacement = Replacement::begin(dir.config()).await.unwrap();
    let config = replacement.config().clone();
    let new = EmbeddedPostgres::start(config).await.unwrap();
    write(&new, words).await;
    new.stop().await;
    replacement
}

async fn words(dir: &TestDir) -> Vec<String> {
    let postgres = dir.start().await;
    let words = read(&postgres).await;
    postgres.stop().await;
    words
}

/// The names in the data directory that begin like this.
fn names(dir: &TestDir, start: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.data()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_takes_the_place_of_the_old_one_only_when_it_is_finished() {
    let dir = TestDir::new();
    let running = dir.start().await;
    write(&running, "old").await;
    let refusal = Replacement::begin(dir.config()).await.unwrap_err();
    assert!(refusal.to_string().contains("Stop it first"), "{refusal}");
    running.stop().await;

    drop(filled(&dir, "dropped").await);
    assert_eq!(names(&dir, "restore-"), [""; 0]);
    assert_eq!(words(&dir).await, ["old"]);

    let replacement = filled(&dir, "new").await;
    let refusal = Replacement::begin(dir.config()).await.unwrap_err();
    assert!(refusal.to_string().contains("Stop it first"), "{refusal}");
    let kept = replacement.finish("today").unwrap().unwrap();
    assert!(kept.ends_with("postgres-before-today") && kept.join("PG_VERSION").exists());
    assert_eq!(names(&dir, "restore-"), [""; 0]);
    assert_eq!(names(&dir, "postgres-"), ["postgres-before-today"]);
    assert_eq!(words(&dir).await, ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_in_the_place_of_the_cluster_stays() {
    let dir = TestDir::new();
    fs::create_dir_all(dir.cluster()).unwrap();
    fs::write(dir.cluster().join("diary"), "dear").unwrap();
    let refusal = Replacement::begin(dir.config()).await.unwrap_err();
    assert!(
        refusal.to_string().contains("not a Postgres cluster"),
        "{refusal}"
    );
}
