//! Two instances inside the test, whose clocks are set at will, and one beside it, which is
//! killed and replaced.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::{Client, Method, RequestBuilder};
use tokio::task::JoinSet;

use super::history::{History, Times};
use crate::support::cluster::TestDatabase;
use crate::support::{Chance, Process, Service, Token};

/// Tokens are good by every clock that is set.
const TOKEN_SECONDS: u64 = 100_000;
const TOKEN_AGE: Duration = Duration::from_hours(2);
/// Streams of a killed instance count until its lease ends. Nobody here is to lose one because of them.
const STREAMS_PER_USER: &str = "100";
/// How far clocks are set, in seconds.
const CLOCKS: [i64; 4] = [-3_600, 0, 3_600, 1_800];

pub struct Cluster {
    pub history: Arc<History>,
    pub services: [Service; 2],
    client: Client,
    variables: Vec<(&'static str, String)>,
    process: Mutex<Option<(usize, Process)>>,
    /// Exit codes of those that were asked to stop.
    stopping: Mutex<JoinSet<Option<i32>>>,
}

#[derive(Clone)]
pub struct Door {
    pub site: usize,
    base: String,
    client: Client,
}

impl Door {
    pub fn request(&self, method: Method, path: &str, token: &Token) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        let token = token
            .clone()
            .lasting(TOKEN_SECONDS)
            .issued_before(TOKEN_AGE);
        self.client.request(method, url).bearer_auth(token.signed())
    }

    pub fn get(&self, path: &str, token: &Token) -> RequestBuilder {
        self.request(Method::GET, path, token)
    }
}

impl Cluster {
    pub async fn start(times: Times) -> Self {
        let database = Arc::new(TestDatabase::create().await);
        let flag = |name: &str, ms: i64| format!("--{name}-seconds={}", ms / 1_000);
        let flags = [
            flag("presence-grace", times.grace),
            flag("presence-timeout", times.timeout),
            format!("--streams-per-user={STREAMS_PER_USER}"),
            "--poll-ms=60000".to_owned(),
        ];
        let flags = flags.each_ref().map(String::as_str);
        let first = Service::on(Arc::clone(&database), &flags).await;
        let second = Service::on(Arc::clone(&database), &flags).await;
        let seconds = |ms: i64| (ms / 1_000).to_string();
        let variables = vec![
            ("DATABASE_URL", database.url()),
            ("PORCHLIGHT_PRESENCE_GRACE_SECONDS", seconds(times.grace)),
            (
                "PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS",
                seconds(times.timeout),
            ),
            ("PORCHLIGHT_DRAIN_SPREAD_SECONDS", seconds(times.drain)),
            ("PORCHLIGHT_STREAMS_PER_USER", STREAMS_PER_USER.to_owned()),
        ];
        let history = Arc::new(History::new(times));
        let sites = [history.add_site(), history.add_site()];
        assert_eq!(sites, [0, 1]);
        let cluster = Self {
            history,
            client: first.client.clone(),
            services: [first, second],
            variables,
            process: Mutex::default(),
            stopping: Mutex::default(),
        };
        cluster.start_process().await;
        cluster
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<(usize, Process)>> {
        self.process.lock().expect("no panic")
    }

    /// Starts a process in the place of the one before, if there is any, and gives that one.
    async fn start_process(&self) -> Option<(usize, Process)> {
        let variables: Vec<_> = self
            .variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let process = Process::start("127.0.0.1:0", &variables).await;
        let site = self.history.add_site();
        self.slot().replace((site, process))
    }

    /// The instances that one may go to now.
    pub fn doors(&self) -> Vec<Door> {
        let mut doors = vec![self.door(0), self.door(1)];
        let process = self.slot();
        doors.extend(process.as_ref().map(|(site, process)| Door {
            site: *site,
            base: process.url(""),
            client: self.client.clone(),
        }));
        doors
    }

    /// One of the two that are there all the time.
    pub fn door(&self, site: usize) -> Door {
        Door {
            site,
            base: self.services[site].url(""),
            client: self.client.clone(),
        }
    }

    pub fn any_door(&self, chance: &mut Chance) -> Door {
        let doors = self.doors();
        doors[chance.below(doors.len())].clone()
    }

    /// Something happens to the instances.
    pub async fn disturb(&self, chance: &mut Chance) {
        match chance.below(6) {
            0 | 1 => {
                let pause = chance.below(1_500) as u64;
                self.kill(Duration::from_millis(pause)).await;
            }
            2 | 3 => {
                let before = self.start_process().await;
                self.stop(before);
            }
            _ => {
                let clock = &self.services[chance.below(2)].ahead_seconds;
                clock.store(CLOCKS[chance.below(CLOCKS.len())], Ordering::Relaxed);
            }
        }
    }

    async fn kill(&self, pause: Duration) {
        let Some((site, process)) = self.slot().take() else {
            return;
        };
        let from = self.history.now();
        self.history.sites()[site].killed_in = Some((from, from));
        process.kill();
        self.history.sites()[site].killed_in = Some((from, self.history.now()));
        tokio::time::sleep(pause).await;
        self.start_process().await;
    }

    /// A deploy: the new one is there already.
    fn stop(&self, process: Option<(usize, Process)>) {
        let Some((site, mut process)) = process else {
            return;
        };
        self.history.sites()[site].stopped_at = Some(self.history.now());
        process.signal(Signal::SIGTERM);
        let mut stopping = self.stopping.lock().expect("no panic");
        stopping.spawn(async move { process.exit_code().await });
    }

    /// Waits for those that were asked to stop. They must have ended well.
    pub async fn all_stopped(&self) {
        let stopping = std::mem::take(&mut *self.stopping.lock().expect("no panic"));
        for code in stopping.join_all().await {
            assert_eq!(code, Some(0));
        }
    }
}
