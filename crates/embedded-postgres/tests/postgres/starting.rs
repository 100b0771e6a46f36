//! Starting and stopping when all is well.

use std::fs;
use std::path::Path;

use embedded_postgres::EmbeddedPostgres;

use super::service::Service;
use super::support::{
    TestDir, am_root, answers, give, owner, read, runs, set_mode, setting, user, write,
};

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let dir = TestDir::new();
    let first = dir.start().await;
    assert!(first.is_owner());
    write(&first, "hello").await;
    first.stop().await;

    let second = dir.start().await;
    assert_eq!(read(&second).await, ["hello"]);
    second.stop().await;
}

#[tokio::test]
async fn a_durable_cluster_uses_the_segments_that_were_made_for_it() {
    let dir = TestDir::new();
    let segments = || {
        let names = fs::read_dir(dir.cluster().join("pg_wal")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with('0')).collect();
        names.sort();
        names
    };
    let first = dir.start_durable().await;
    let made = segments();
    assert!(made.len() > 64, "{made:?}");
    let words: String = (0..500_000).map(|n| n.to_string()).collect();
    write(&first, &words).await;
    // It needed some, and made none.
    assert_eq!(segments(), made);
    first.stop().await;

    let second = dir.start_durable().await;
    assert_eq!(read(&second).await, [words]);
    second.stop().await;
}

#[tokio::test]
async fn stopping_leaves_no_server_and_no_lock() {
    let dir = TestDir::new();
    let postgres = dir.start().await;
    let pid = postgres.postmaster_pid().unwrap();
    assert!(runs(pid));
    postgres.stop().await;
    assert!(!runs(pid));
    assert!(!dir.cluster().join("postmaster.pid").exists());

    let next = dir.start().await;
    assert!(next.is_owner());
    next.stop().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_too() {
    let dir = TestDir::new();
    let postgres = dir.start().await;
    let pid = postgres.postmaster_pid().unwrap();
    drop(postgres);
    super::support::eventually("the server is gone", async || !runs(pid)).await;
}

#[tokio::test]
async fn root_does_not_run_postgres_as_root() {
    if !am_root() {
        return;
    }
    let dir = TestDir::new();
    let postgres = dir.start().await;
    let process = format!("/proc/{}", postgres.postmaster_pid().unwrap());
    let postgres_user = user("postgres").uid.as_raw();
    assert_eq!(owner(Path::new(&process)), postgres_user);
    assert_eq!(owner(&dir.cluster()), postgres_user);
    assert!(answers(&postgres).await);
    postgres.stop().await;
}

#[test]
fn an_ordinary_user_runs_postgres_as_themselves() {
    let dir = TestDir::new();
    if !am_root() {
        let service = Service::spawn(&dir);
        assert_eq!(owner(&dir.cluster()), nix::unistd::geteuid().as_raw());
        return service.finish();
    }
    let nobody = user("nobody");
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    give(&home, &nobody);
    let service = Service::spawn_as(&nobody, &dir, home.join(".local/share/acme"));
    let process = format!("/proc/{}", service.postmaster);
    assert_eq!(owner(Path::new(&process)), nobody.uid.as_raw());
    service.finish();
}

#[tokio::test]
async fn root_goes_on_as_the_user_who_made_the_cluster() {
    if !am_root() {
        return;
    }
    let dir = TestDir::new();
    let nobody = user("nobody");
    fs::create_dir(dir.data()).unwrap();
    give(&dir.data(), &nobody);
    Service::spawn_as(&nobody, &dir, dir.data()).finish();

    let postgres = dir.start().await;
    let process = format!("/proc/{}", postgres.postmaster_pid().unwrap());
    assert_eq!(owner(Path::new(&process)), nobody.uid.as_raw());
    postgres.stop().await;
}

#[tokio::test]
async fn a_fresh_private_directory_is_opened_for_postgres_and_nobody_else() {
    let dir = TestDir::new();
    fs::create_dir(dir.data()).unwrap();
    set_mode(&dir.data(), 0o700);
    let postgres = dir.start().await;
    assert!(answers(&postgres).await);
    assert_eq!(mode(&dir.data()) & 0o007, 0);
    assert_eq!(mode(postgres.socket_dir()), 0o700);
    postgres.stop().await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.data_dir = dir.path().join("d".repeat(120)).join("data");
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert!(answers(&postgres).await);
    let socket_dir = postgres.socket_dir().to_owned();
    assert!(socket_dir.starts_with("/tmp"));
    assert_eq!(mode(&socket_dir), 0o700);
    postgres.stop().await;
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_path_with_spaces_commas_and_quotes_works() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.data_dir = dir.path().join("Ada's data, \"the best\"");
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert!(answers(&postgres).await);
    postgres.stop().await;
}

#[tokio::test]
async fn a_cluster_is_durable_unless_it_is_to_be_thrown_away() {
    let dir = TestDir::new();
    let postgres = dir.start_durable().await;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(&postgres, name).await, "on", "{name}");
    }
    postgres.stop().await;

    let mut config = dir.config();
    config.durable = false;
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert_eq!(setting(&postgres, "fsync").await, "off");
    postgres.stop().await;
}

#[tokio::test]
async fn nothing_listens_on_a_network_and_the_callers_settings_win() {
    let dir = TestDir::new();
    let mut config = dir.config();
    config.settings = vec![("max_connections".to_owned(), "23".to_owned())];
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert_eq!(setting(&postgres, "listen_addresses").await, "");
    assert_eq!(setting(&postgres, "max_connections").await, "23");
    assert_eq!(setting(&postgres, "server_encoding").await, "UTF8");
    postgres.stop().await;
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().mode() & 0o777
}
