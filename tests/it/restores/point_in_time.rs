//! Recovery to a point in time, from a base backup and the archived log of Postgres.

use std::fs;
use std::path::Path;

use sqlx::Executor;

use crate::support::cluster::open_dir;
use crate::support::own::OwnPostgres;
use crate::support::people::agent;
use crate::support::psql::run_program;
use crate::support::requests::client;
use crate::support::sse::next_reset;
use crate::support::{Answer, Process, Publisher, Stream, eventually, for_team, number};

async fn serve(postgres: &OwnPostgres) -> Process {
    Process::start("127.0.0.1:0", &[("DATABASE_URL", &postgres.url())]).await
}

async fn publish(service: &Process, from: u64, to: u64) -> Vec<String> {
    let publisher = Publisher::new(&service.url(""));
    let mut positions = Vec::new();
    for n in from..to {
        let one = publisher.once(&for_team("a", n)).await;
        positions.extend(one.expect("a position"));
    }
    positions
}

async fn stream(service: &Process, id: &str) -> Stream {
    let request = client(true).get(service.url("/stream/team"));
    let request = request.bearer_auth(agent("u").signed());
    Stream::open(request.header("Last-Event-ID", id)).await
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
#[ignore = "takes seconds: a part of scripts/test --long"]
async fn cursors_of_after_the_point_are_reset() {
    let (old_dir, new_dir, archive) = (open_dir(), open_dir(), open_dir());
    // Postgres runs as another user.
    fs::set_permissions(
        archive.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .expect("permissions");
    let archive = path(archive.path());
    let copy = format!("cp %p {archive}/%f");
    let settings = [("archive_mode", "on"), ("archive_command", &*copy)];
    let postgres = OwnPostgres::start_in(old_dir.path(), &settings).await;
    let service = serve(&postgres).await;
    let kept = publish(&service, 0, 5).await;
    let cluster = new_dir.path().join("postgres");
    run_program(
        "pg_basebackup",
        &["-d", &postgres.url(), "-D", path(&cluster), "-c", "fast"],
    );
    publish(&service, 5, 10).await;
    let mut sql = postgres.connect().await;
    let point = "select pg_create_restore_point('before the accident')";
    sql.execute(point).await.expect("a point");
    let lost = publish(&service, 10, 15).await;
    sql.execute("select pg_switch_wal()")
        .await
        .expect("archived");
    drop(service);
    let mut postgres = postgres;
    postgres.go_away().await;

    fs::write(cluster.join("recovery.signal"), "").expect("a file");
    let fetch = format!("cp {archive}/%f %p");
    let settings = [
        ("restore_command", &*fetch),
        ("recovery_target_name", "before the accident"),
        ("recovery_target_action", "promote"),
    ];
    let postgres = OwnPostgres::start_in(new_dir.path(), &settings).await;
    eventually("the recovery is over", async || {
        let query = sqlx::query_scalar::<_, bool>("select pg_is_in_recovery()");
        let recovers = query.fetch_one(&mut postgres.connect().await).await.ok()?;
        (!recovers).then_some(())
    })
    .await;
    let service = serve(&postgres).await;
    for position in [&kept[2], &lost[4]] {
        let reset = next_reset(&mut stream(&service, position).await).await;
        assert_eq!(reset.json()["reason"], "unknown");
        assert_eq!(reset.position(), 10);
        let request = client(true).get(service.url(&format!("/events?after={position}")));
        let answer = Answer::to(request.bearer_auth(agent("u").signed())).await;
        answer.refused(410, "cursor_unknown", "a position of before");
    }
    let reset = next_reset(&mut stream(&service, &lost[0]).await).await;
    let mut again = stream(&service, &reset.id).await;
    assert_eq!(again.next().await.name, "stream:ready");
    publish(&service, 20, 21).await;
    assert_eq!(number(&again.next().await), 20);
    // The next start finds the same database.
    drop(service);
    let service = serve(&postgres).await;
    let mut again = stream(&service, &reset.id).await;
    assert_eq!(again.next().await.name, "stream:ready");
    assert_eq!(number(&again.next().await), 20);
}
