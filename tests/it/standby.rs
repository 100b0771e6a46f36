//! A failover after which the address of the database leads to the former primary for a while, which is a standby now:
//! it can be read, and refuses every write.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::cluster::open_dir;
use crate::support::command::porchlight;
use crate::support::own::OwnPostgres;
use crate::support::proxy::Backend;
use crate::support::requests::client;
use crate::support::{Answer, Process, Proxy, Publisher, eventually, for_team};

/// Within this, an instance that can reach a primary again publishes.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_instance_that_reaches_only_a_standby_is_not_ready_and_goes_on_when_it_reaches_the_primary()
 {
    let primary = OwnPostgres::start().await;
    let proxy = Proxy::to(Backend::Unix(primary.socket())).await;
    let url = proxy.database_url("porchlight");
    let service = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url)]).await;
    let publisher = Publisher::new(&service.url(""));
    publisher.insist("before", &for_team("a", 0)).await;
    let dir = open_dir();
    let standby = primary.standby_in(dir.path()).await;

    proxy.set_backend(Backend::Unix(standby.socket()));
    proxy.cut();
    let is_not_ready = async || {
        let answer = Answer::to(client(true).get(service.url("/health/ready"))).await;
        (answer.status == 503).then_some(answer)
    };
    let (event, database) = (for_team("a", 1), [("DATABASE_URL", &*url)]);
    let (answer, outcome, ended) = tokio::join!(
        eventually("it is not ready", is_not_ready),
        publisher.once(&event),
        porchlight(&["migrate"], &database),
    );
    answer.refused(503, "not_ready", "only a standby is there");
    assert_eq!(outcome, None);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("standby"), "{}", ended.stderr);
    let log = service.log.lock().expect("a log").clone();
    let reasons = log.matches("accepts no writes").count();
    assert!((1..10).contains(&reasons), "{reasons}: {log}");

    // Connections that are open stay where they are.
    proxy.set_backend(Backend::Unix(primary.socket()));
    let began = Instant::now();
    publisher.insist("after", &for_team("a", 2)).await;
    publisher.wait_for_service().await;
    assert!(began.elapsed() < RECOVERED_WITHIN, "{:?}", began.elapsed());
}
