//! GETs of one path beside the load: how long the server takes to answer anything else.

use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use crate::kept_connection::KeptConnection;
use crate::publisher::ANSWER_TIMEOUT;
use crate::report::{Gets, Latency};
use crate::shared::{Run, Window, histogram};
use crate::units::nanos;

const INTERVAL: Duration = Duration::from_millis(20);

/// The requests of one run, if it has any.
pub(crate) struct Getter(Option<JoinHandle<Gets>>);

impl Getter {
    pub(crate) fn start(run: &Rc<Run>, window: Window) -> Self {
        let path = run.plan.args.get.clone();
        Self(path.map(|path| tokio::task::spawn_local(get_all(run.clone(), path, window))))
    }

    pub(crate) async fn finish(self) -> Option<Gets> {
        self.0?.await.ok()
    }
}

/// One after the other, each when it is due or as soon as the one before is answered.
async fn get_all(run: Rc<Run>, path: String, window: Window) -> Gets {
    let request = run.plan.get_request(&path);
    let mut connection = KeptConnection::default();
    let (mut gets, mut latency) = (
        Gets {
            path,
            ..Gets::default()
        },
        histogram(),
    );
    let mut due_ns = window.from;
    while due_ns < window.to {
        sleep_until(run.at(due_ns)).await;
        if get(&run, &mut connection, &request).await {
            gets.answered += 1;
            record(&mut latency, run.now_ns() - due_ns);
        } else {
            gets.failed += 1;
        }
        due_ns += nanos(INTERVAL);
    }
    gets.latency = Latency::of(&latency);
    gets
}

async fn get(run: &Run, connection: &mut KeptConnection, request: &[u8]) -> bool {
    let exchange = async {
        let socket = connection.open(run.plan.server).await.ok()?;
        connection.exchange(socket, request).await.ok()
    };
    let status = timeout(ANSWER_TIMEOUT, exchange).await.ok().flatten();
    status.is_some_and(|status| (200..300).contains(&status))
}

fn record(latency: &mut Histogram<u64>, ns: u64) {
    latency.saturating_record(ns / 1_000);
}
