//! The service inside the test's process, on a socket and a database of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Parser;
use porchlight::app::{Application, Environment};
use porchlight::config::Config;
use porchlight::identity::{IdentitySettings, MintRequest, Role, Secret, TokenSigner};
use porchlight::platform::{ArrivalRush, Clock, Dice};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::runtime::LocalOptions;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::cluster::TestDatabase;
use super::requests::client;
use super::sse::Stream;

/// What all tokens of tests are signed with.
pub const SECRET: &str = "a secret for tests, of forty characters!";

/// A token to be made.
#[derive(Clone, Debug)]
pub struct Token {
    pub user: String,
    pub broker: String,
    pub teams: Vec<String>,
    pub role: Role,
    pub seconds: u64,
    /// How long ago it was issued.
    pub age: Duration,
    pub name: Option<String>,
}

impl Token {
    /// A user of broker `b`, on these teams.
    pub fn user(user: &str, teams: &[&str]) -> Self {
        let teams = teams.iter().map(ToString::to_string).collect();
        let (user, broker) = (user.to_owned(), "b".to_owned());
        Self {
            user,
            broker,
            teams,
            role: Role::Agent,
            seconds: 3_600,
            age: Duration::ZERO,
            name: None,
        }
    }

    /// The publishing service of a broker.
    pub fn service(broker: &str) -> Self {
        Self {
            role: Role::Service,
            ..Self::user("svc", &[]).of(broker)
        }
    }

    /// The same in another role.
    pub fn in_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The same at another broker.
    pub fn of(self, broker: &str) -> Self {
        Self {
            broker: broker.to_owned(),
            ..self
        }
    }

    /// The same, who is called this.
    pub fn called(self, name: &str) -> Self {
        let name = Some(name.to_owned());
        Self { name, ..self }
    }

    /// The same, valid so long from now.
    pub fn lasting(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    /// The same, issued so long ago.
    pub fn issued_before(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    pub fn signed(&self) -> String {
        let request = MintRequest {
            user: self.user.parse().expect("an id"),
            broker: self.broker.parse().expect("an id"),
            teams: self
                .teams
                .iter()
                .map(|team| team.parse().expect("an id"))
                .collect(),
            role: self.role,
            ttl: self.age + Duration::from_secs(self.seconds),
            now: Clock::system().now() - self.age,
            name: self.name.clone(),
            token_id: None,
        };
        let settings = IdentitySettings {
            secret: Some(Secret::new(SECRET)),
            ..IdentitySettings::default()
        };
        let signer = TokenSigner::new(&settings).expect("a secret");
        signer.sign(&request)
    }
}

#[derive(Parser, Debug)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

pub struct Service {
    pub addr: SocketAddr,
    pub database: Arc<TestDatabase>,
    pub client: Client,
    /// Added to the service's clock.
    pub ahead_seconds: Arc<AtomicI64>,
    /// When clients arrive, for the count of them. 0: when they do.
    pub arrivals_ms: Arc<AtomicU64>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    /// A service with everything as it comes.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A service with these flags.
    pub async fn with(flags: &[&str]) -> Self {
        Self::on(Arc::new(TestDatabase::create().await), flags).await
    }

    /// A service on a database that exists.
    pub async fn on(database: Arc<TestDatabase>, flags: &[&str]) -> Self {
        let url = database.url();
        Self::through(database, &url, flags).await
    }

    /// A service that reaches its database by another way.
    pub async fn through(database: Arc<TestDatabase>, url: &str, flags: &[&str]) -> Self {
        let own = [
            "porchlight",
            "--addr=127.0.0.1:0",
            "--workers=2",
            // Tests read better with short ids.
            "--record-ids=any",
            "--user-rate=0",
            "--brokerage-rate=0",
            "--worker-rate=0",
            "--address-rate=0",
            "--jwt-secret",
            SECRET,
        ];
        let own = own.into_iter().chain(["--database-url", url]);
        let config = Flags::try_parse_from(own.chain(flags.iter().copied()))
            .expect("flags")
            .config;
        let (stop, ahead_seconds) = (CancellationToken::new(), Arc::<AtomicI64>::default());
        let arrivals_ms = Arc::<AtomicU64>::default();
        let environment = environment(Arc::clone(&ahead_seconds), Arc::clone(&arrivals_ms));
        let (started, addr) = mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(config, environment, &started, stopped));
        let addr = tokio::task::spawn_blocking(move || addr.recv())
            .await
            .expect("a thread");
        let addr = addr.expect("the service starts");
        Self {
            addr,
            database,
            client: client(false),
            ahead_seconds,
            arrivals_ms,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// A request with a token.
    pub fn get(&self, path: &str, token: &Token) -> RequestBuilder {
        self.client.get(self.url(path)).bearer_auth(token.signed())
    }

    pub async fn stream(&self, path: &str, token: &Token) -> Stream {
        Stream::open(self.get(path, token)).await
    }

    /// A stream that goes on after `id`.
    pub async fn resume(&self, path: &str, token: &Token, id: &str) -> Stream {
        Stream::open(self.get(path, token).header("Last-Event-ID", id)).await
    }

    pub async fn list(&self, path: &str, token: &Token) -> Value {
        let answer = Answer::to(self.get(path, token)).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    }

    /// Publishes at a broker, and gives the answer.
    pub async fn post(&self, broker: &str, body: &Value) -> Answer {
        Answer::to(self.post_events(broker, body)).await
    }

    fn post_events(&self, broker: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(self.url("/events"));
        let request = request.bearer_auth(Token::service(broker).signed());
        request.json(body)
    }

    /// Publishes at broker `b`, and gives the positions.
    pub async fn publish(&self, body: &Value) -> Vec<String> {
        let answer = self.post("b", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let answer = answer.json();
        let positions = answer["positions"].as_array().expect("positions");
        positions
            .iter()
            .map(|p| p.as_str().expect("text").to_owned())
            .collect()
    }

    /// A metric's value.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.url("/metrics"), name).await
    }

    /// Lets the service stop, and waits for it.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let thread = self.thread.take().expect("it runs");
        tokio::task::spawn_blocking(|| thread.join())
            .await
            .expect("a thread")
            .expect("no panic");
    }

    /// Asks the service to stop, and does not wait.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }
}

/// A metric's value at a page of metrics. Only one with labels may be missing, which counts as 0.
pub async fn metric(url: &str, name: &str) -> f64 {
    let page = Answer::to(client(true).get(url)).await;
    let line = page
        .text
        .lines()
        .find(|line| line.split(' ').next() == Some(name));
    let Some(line) = line else {
        assert!(name.contains('{'), "there is no metric {name}");
        return 0.0;
    };
    let value = line.rsplit(' ').next().expect("a value");
    value.parse().expect("a number")
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What passes the times that a test sets.
fn environment(ahead_seconds: Arc<AtomicI64>, arrivals_ms: Arc<AtomicU64>) -> Environment {
    let (system, began) = (Clock::system(), Instant::now());
    let now = move || -> OffsetDateTime {
        system.now() + time::Duration::seconds(ahead_seconds.load(Ordering::Relaxed))
    };
    let arrival = move || match arrivals_ms.load(Ordering::Relaxed) {
        0 => began.elapsed(),
        ms => Duration::from_millis(ms),
    };
    Environment {
        clock: Clock::of(now),
        dice: Dice::system(),
        rush: ArrivalRush::at(arrival),
    }
}

fn serve(
    config: Config,
    environment: Environment,
    started: &mpsc::Sender<SocketAddr>,
    stop: CancellationToken,
) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime");
    runtime.block_on(async {
        let service = Application::build(config, environment)
            .await
            .expect("a service");
        started
            .send(service.addr().expect("an address"))
            .expect("the test waits");
        service
            .run(stop.cancelled_owned())
            .await
            .expect("a clean end");
    });
}
