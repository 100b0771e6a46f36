//! `porchlight backup` and `porchlight restore`.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::cluster::open_dir;
use crate::support::command::{Ended, porchlight};
use crate::support::people::agent;
use crate::support::requests::client;
use crate::support::sse::next_reset;
use crate::support::{Answer, Process, Publisher, Stream, for_team, number};

/// A data directory, and files beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self) -> String {
        self.file("data").to_str().expect("text").to_owned()
    }

    /// Runs `porchlight <command> … FILE`.
    async fn run(&self, arguments: &[&str], file: &Path) -> Ended {
        let file = file.to_str().expect("text");
        let arguments: Vec<_> = arguments.iter().copied().chain([file]).collect();
        porchlight(&arguments, &[("PORCHLIGHT_DATA_DIR", &self.data())]).await
    }

    async fn serve(&self) -> Process {
        let bin_dir = std::env::var("PG_BIN_DIR").ok();
        let bin_dir = bin_dir.as_deref().map(|dir| ("PG_BIN_DIR", dir));
        let data = self.data();
        let variables: Vec<_> = [("PORCHLIGHT_DATA_DIR", &*data)]
            .into_iter()
            .chain(bin_dir)
            .collect();
        Process::start("127.0.0.1:0", &variables).await
    }
}

fn get(service: &Process, path: &str) -> RequestBuilder {
    client(true)
        .get(service.url(path))
        .bearer_auth(agent("u").signed())
}

async fn publish(service: &Process, from: u64, to: u64) -> Vec<String> {
    let events: Vec<_> = (from..to).map(|n| for_team("a", n)).collect();
    let publisher = Publisher::new(&service.url(""));
    publisher
        .once(&json!({"events": events}))
        .await
        .expect("positions")
}

async fn resume(service: &Process, id: &str) -> Stream {
    Stream::open(get(service, "/stream/team").header("Last-Event-ID", id)).await
}

fn assert_refused(ended: &Ended, word: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
}

async fn stop(mut service: Process) {
    service.signal(Signal::SIGTERM);
    assert_eq!(service.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_backup_of_a_running_service_is_restored_with_new_epochs() {
    let place = Place(open_dir());
    let (backup, broken) = (place.file("backup"), place.file("broken"));
    assert_refused(
        &place.run(&["backup"], &backup).await,
        "there is no database",
    );
    let service = place.serve().await;
    let kept = publish(&service, 0, 10).await;
    let made = place.run(&["backup"], &backup).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("backed up to"), "{made:?}");
    let lost = publish(&service, 10, 15).await;
    fs::write(&broken, "a diary").expect("a file");
    assert_refused(&place.run(&["backup"], &broken).await, "is not overwritten");
    assert_refused(
        &place.run(&["restore", "--force"], &backup).await,
        "Stop it first",
    );
    stop(service).await;

    assert_refused(&place.run(&["restore"], &backup).await, "--force");
    let whole = fs::read(&backup).expect("a backup");
    fs::write(&broken, &whole[..whole.len() / 2]).expect("a file");
    assert_refused(
        &place.run(&["restore", "--force"], &broken).await,
        "no whole backup",
    );
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&broken, damaged).expect("a file");
    assert_refused(
        &place.run(&["restore", "--force"], &broken).await,
        "is damaged",
    );
    assert_refused(
        &place.run(&["restore"], &place.file("missing")).await,
        "No such file",
    );

    let restored = place.run(&["restore", "--force"], &backup).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(
        restored.stdout.contains("1 log has a new epoch"),
        "{restored:?}"
    );
    let service = place.serve().await;
    for position in [&kept[3], &lost[4]] {
        let mut stream = resume(&service, position).await;
        let reset = next_reset(&mut stream).await;
        assert_eq!(
            (&reset.json()["reason"], reset.position()),
            (&json!("unknown"), 10)
        );
        let answer = Answer::to(get(&service, &format!("/events?after={position}"))).await;
        answer.refused(410, "cursor_unknown", "a position of before");
    }
    let page = Answer::to(get(&service, "/events?limit=100")).await.json();
    assert_eq!(page["events"].as_array().expect("events").len(), 10);
    let mut stream = resume(&service, page["next"].as_str().expect("a position")).await;
    let new = publish(&service, 20, 21).await;
    let next = stream.next_logged().await;
    assert_eq!((number(&next), &next.id), (20, &new[0]));
    stop(service).await;

    // The former database is there with what was lost, and nothing else is left.
    let mut names: Vec<_> = fs::read_dir(place.data())
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("a name")
                .file_name()
                .into_string()
                .expect("text")
        })
        .filter(|name| name.starts_with("postgres-") || name.starts_with("restore-"))
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let former = names.remove(0);
    assert!(former.starts_with("postgres-before-"), "{former}");
    assert!(restored.stdout.contains(&former), "{restored:?}");
}

#[tokio::test]
async fn the_commands_are_for_the_embedded_database() {
    let place = Place(open_dir());
    let file = place.file("backup");
    let file = file.to_str().expect("text");
    let url = [("DATABASE_URL", "postgres://x@127.0.0.1:1/x")];
    let ended = porchlight(&["backup", file], &url).await;
    assert_refused(&ended, "pg_dump");
    let ended = porchlight(&["new-epochs"], &[("PORCHLIGHT_DATA_DIR", &place.data())]).await;
    assert_refused(&ended, "there is no database");
}

/// Rights and policies of roles, and whether functions are still revoked from `public`.
const RIGHTS: &str = "select has_schema_privilege('reporting', 'porchlight', 'usage'),
    has_table_privilege('reporting', 'public.deals', 'select'),
    (select polroles::regrole[]::text from pg_policy where polname = 'mine'),
    (select count(*) filter (where has_function_privilege('public', p.oid, 'execute')) || ' of ' || count(*)
     from pg_proc p where pronamespace = 'porchlight'::regnamespace)";

impl Place {
    /// What `psql` answers on the database in this directory.
    async fn psql(&self, dir: &str, sql: &str) -> String {
        let data = self.file(dir);
        let data = [("PORCHLIGHT_DATA_DIR", data.to_str().expect("text"))];
        let arguments = ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql];
        let ended = porchlight(&arguments, &data).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    async fn restore_into(&self, dir: &str, backup: &Path) -> Ended {
        let data = self.file(dir);
        let data = data.to_str().expect("text");
        self.run(&["restore", "--data-dir", data], backup).await
    }
}

#[tokio::test]
async fn rights_of_roles_are_restored_with_roles_that_cannot_log_in() {
    let place = Place(open_dir());
    let backup = place.file("backup");
    let data = place.data();
    let migrated = porchlight(&["migrate"], &[("PORCHLIGHT_DATA_DIR", &data)]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let roles = "create role reporting login password 'hush-hush'; create role keeper;
        create role \"Ann's \"\"x\"\"\"; create role unused;
        grant usage on schema porchlight to reporting;
        create table deals (id bigint); alter table deals owner to keeper;
        grant select on deals to reporting; alter table deals enable row level security;
        create policy mine on deals to \"Ann's \"\"x\"\"\" using (id > 0)";
    place.psql("data", roles).await;
    let rights = place.psql("data", RIGHTS).await;
    assert!(rights.starts_with("t|t|"), "{rights}");
    let made = place.run(&["backup"], &backup).await;
    assert_eq!(made.code, Some(0), "{made:?}");

    let restored = place.restore_into("restored", &backup).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let said = "created the roles Ann's \"x\", keeper, reporting,";
    assert!(restored.stdout.contains(said), "{restored:?}");
    assert!(restored.stdout.contains("alter role"), "{restored:?}");
    assert_eq!(place.psql("restored", RIGHTS).await, rights);
    let logins = "select string_agg(rolname, ',') from pg_roles
        where rolname in ('reporting', 'unused') and not rolcanlogin";
    assert_eq!(place.psql("restored", logins).await, "reporting\n");
}
