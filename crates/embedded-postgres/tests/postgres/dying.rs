//! Processes that die, and processes that must not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use embedded_postgres::EmbeddedPostgres;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgid;
use sqlx::PgConnection;

use super::service::Service;
use super::support::{TestDir, answers, as_pid, connect, eventually, read, runs, signal, write};

#[tokio::test]
async fn a_killed_server_comes_back_by_itself_with_its_data() {
    let dir = TestDir::new();
    let postgres = dir.start_durable().await;
    write(&postgres, "before").await;
    let killed = postgres.postmaster_pid().unwrap();
    signal(killed, Signal::SIGKILL);

    eventually("another server answers", async || {
        postgres.postmaster_pid().is_some_and(|pid| pid != killed) && answers(&postgres).await
    })
    .await;
    assert_eq!(read(&postgres).await, ["before"]);
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_comes_back_once_the_killed_ones_last_backend_is_gone() {
    let dir = TestDir::new();
    let postgres = dir.start_durable().await;
    let (_connection, backend) = stuck_backend(&postgres).await;
    signal(postgres.postmaster_pid().unwrap(), Signal::SIGKILL);
    let log = dir.data().join("postgres.log");
    eventually("the restart is refused", async || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("shared memory block"))
    })
    .await;
    assert!(!answers(&postgres).await);
    signal(backend, Signal::SIGKILL);
    eventually("it answers", async || answers(&postgres).await).await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_start_waits_for_the_last_backend_of_a_killed_server() {
    let dir = TestDir::new();
    let service = Service::spawn(&dir);
    let attached = dir.start().await;
    let (_connection, backend) = stuck_backend(&attached).await;
    attached.stop().await;
    // A service that is stopped cannot restart the server before it is killed too.
    signal(service.process.id(), Signal::SIGSTOP);
    signal(service.postmaster, Signal::SIGKILL);
    service.kill();

    let mut next = Box::pin(dir.start());
    let too_early = tokio::time::timeout(Duration::from_millis(500), &mut next).await;
    assert!(too_early.is_err());
    signal(backend, Signal::SIGKILL);
    next.await.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_come_back_is_given_up_and_reported() {
    let dir = TestDir::new();
    let postgres = dir.start().await;
    fs::write(dir.cluster().join("postgresql.conf"), "nonsense = 1\n").unwrap();
    let crashed = postgres.crashed();
    signal(postgres.postmaster_pid().unwrap(), Signal::SIGKILL);

    let crash = tokio::time::timeout(Duration::from_mins(1), crashed).await;
    let message = crash.unwrap().to_string();
    assert!(message.contains("nonsense"), "{message}");
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_has_not_crashed() {
    let dir = TestDir::new();
    let postgres = dir.start().await;
    let crashed = postgres.crashed();
    postgres.stop().await;
    let message = tokio::time::timeout(Duration::from_millis(50), crashed).await;
    assert!(message.is_err());
}

#[tokio::test]
async fn a_killed_service_takes_postgres_along_and_the_next_one_has_its_data() {
    let dir = TestDir::new();
    let service = Service::spawn(&dir);
    let postmaster = service.postmaster;
    let attached = dir.start().await;
    write(&attached, "survives").await;
    attached.stop().await;
    service.kill();
    if has_setpriv() {
        eventually("postgres is gone", async || !runs(postmaster)).await;
    }

    let next = dir.start().await;
    assert!(next.is_owner());
    assert!(!runs(postmaster));
    assert_eq!(read(&next).await, ["survives"]);
    next.stop().await;
}

#[tokio::test]
async fn the_next_service_need_not_wait_for_the_killed_ones_server() {
    let dir = TestDir::new();
    let service = Service::spawn(&dir);
    let postmaster = service.postmaster;
    service.kill();
    let next = dir.start().await;
    assert!(next.is_owner());
    assert!(!runs(postmaster));
    next.stop().await;
}

#[tokio::test]
async fn a_server_left_behind_is_stopped_and_replaced() {
    let dir = TestDir::new();
    let postgres = dir.start_durable().await;
    write(&postgres, "kept").await;
    let program = program_of(postgres.postmaster_pid().unwrap());
    let socket_dir = postgres.socket_dir().to_owned();
    postgres.stop().await;

    let mut leftover = run_by_hand(&program, &dir.cluster(), &socket_dir);
    let socket = socket_dir.join(".s.PGSQL.5432");
    eventually("the leftover is up", async || socket.exists()).await;
    let next = dir.start().await;
    assert!(next.is_owner());
    assert!(!runs(leftover.id()));
    assert_ne!(next.postmaster_pid(), Some(leftover.id()));
    assert_eq!(read(&next).await, ["kept"]);
    leftover.wait().unwrap();
    next.stop().await;
}

#[tokio::test]
async fn a_process_id_that_now_belongs_to_another_program_does_not_hinder() {
    let dir = TestDir::new();
    let postgres = dir.start_durable().await;
    let pid_file = dir.cluster().join("postmaster.pid");
    let recorded = fs::read_to_string(&pid_file).unwrap();
    let socket_lock = postgres.socket_dir().join(".s.PGSQL.5432.lock");
    let pid = postgres.postmaster_pid().unwrap().to_string();
    postgres.stop().await;

    // Postgres only believes in processes of its own user.
    let mut other = as_owner(&dir.cluster(), "sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let reused = recorded.replacen(&pid, &other.id().to_string(), 1);
    fs::write(&pid_file, &reused).unwrap();
    fs::write(&socket_lock, &reused).unwrap();
    let next = EmbeddedPostgres::start(dir.config()).await;
    let other_lives = runs(other.id());
    other.kill().unwrap();
    other.wait().unwrap();
    next.unwrap().stop().await;
    assert!(other_lives);
}

#[tokio::test]
async fn a_process_id_file_that_was_cut_off_does_not_hinder() {
    let dir = TestDir::new();
    dir.start().await.stop().await;
    fs::write(dir.cluster().join("postmaster.pid"), "").unwrap();
    dir.start().await.stop().await;
}

#[test]
fn an_interrupt_of_the_services_group_does_not_reach_postgres() {
    let dir = TestDir::new();
    let mut service = Service::spawn(&dir);
    let group = getpgid(Some(as_pid(service.process.id()))).unwrap();
    assert_ne!(getpgid(Some(as_pid(service.postmaster))).unwrap(), group);
    killpg(group, Signal::SIGINT).unwrap();
    assert_eq!(service.word_after("interrupted"), "true");
    service.finish();
}

/// A backend that does not notice that its server has died.
async fn stuck_backend(postgres: &EmbeddedPostgres) -> (PgConnection, u32) {
    let mut connection = connect(postgres).await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let pid = pid.try_into().unwrap();
    signal(pid, Signal::SIGSTOP);
    (connection, pid)
}

fn has_setpriv() -> bool {
    Command::new("setpriv")
        .args(["--pdeathsig", "INT", "true"])
        .status()
        .is_ok_and(|status| status.success())
}

fn program_of(pid: u32) -> String {
    let line = Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let line = String::from_utf8(line.stdout).unwrap();
    line.split(" -D ").next().unwrap().to_owned()
}

/// A server that nobody watches.
fn run_by_hand(program: &str, cluster: &Path, socket_dir: &Path) -> Child {
    as_owner(cluster, program)
        .arg("-D")
        .arg(cluster)
        .arg("-k")
        .arg(socket_dir)
        .args(["-p", "5432", "-c", "listen_addresses="])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A command that runs as the owner of `path`.
fn as_owner(path: &Path, program: &str) -> Command {
    let owner = fs::metadata(path).unwrap();
    let mut command = Command::new(program);
    if super::support::am_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.current_dir("/");
    command
}
