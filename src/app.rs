//! The wiring: every part is made here, handed what it needs, and stopped in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::activity::Activity;
use crate::brokerages::{BrokerageQuery, Brokerages, QueryError};
use crate::clock::{Clock, Dice};
use crate::config::Config;
use crate::crm::Crm;
use crate::database::Pool;
use crate::database::{self, Database};
use crate::event_log::Writer;
use crate::http::access::RefusalKind;
use crate::http::cors::Origins;
use crate::hub::Hub;
use crate::identity::{Secret, Verifier};
use crate::lifecycle::Tasks;
use crate::locks::Locks;
use crate::metrics::Metrics;
use crate::modules::Modules;
use crate::notifications::Notifications;
use crate::presence::Presence;
use crate::records::RecordBook;
use crate::seed::Brokerage;
use crate::signals::{SignalNames, Signals};
use crate::stream::open::Services;
use crate::tasks::TaskBook;
use crate::telemetry::LineLimit;
use crate::uploads::Uploads;

mod housekeeping;
mod limited;
mod lines;
mod moves;
mod seeding;
mod serve;
mod task_book;
mod wire;
mod work;

pub use limited::Limited;
pub use seeding::seed;
use wire::Ground;
pub use work::WorkerApplication;

/// Limits that handlers hold requests to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "all of them limit bytes so far")]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of an event.
    pub event_bytes: usize,
    /// Bytes of a page of a list.
    pub page_bytes: usize,
}

/// What handlers share.
pub struct App {
    /// The database, for requests.
    pub pool: Pool,
    /// Who checks tokens.
    pub verifier: Verifier,
    /// Where callers belong whose tokens do not say it, if that is to be looked up.
    pub brokerages: Option<Brokerages>,
    /// The cookie a token may come in.
    pub token_cookie: String,
    /// Who publishes.
    pub writer: Writer,
    /// What is in memory.
    pub hub: Arc<Hub>,
    /// What records there are.
    pub modules: Modules,
    /// Who may see them.
    pub records: RecordBook,
    /// Who is here.
    pub presence: Presence,
    /// What users are just doing.
    pub signals: Signals,
    /// What that can be.
    pub signal_names: SignalNames,
    /// Who is at work on them.
    pub locks: Locks,
    /// What is asked for and done.
    pub tasks: TaskBook,
    /// What people are told by name.
    pub notifications: Notifications,
    /// What people did.
    pub activity: Activity,
    /// What streams need.
    pub streams: Arc<Services>,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// Decides which refusals are logged.
    pub refusals: Arc<LineLimit<RefusalKind>>,
    /// Limits of requests.
    pub limits: Limits,
    /// The records of those who have no tables of their own.
    pub crm: Arc<Crm>,
    /// The files that users have sent.
    pub uploads: Uploads,
}

/// Why the service could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database.
    #[error(transparent)]
    Database(#[from] database::DatabaseError),
    /// Keys and secrets.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// The query for brokerages.
    #[error(transparent)]
    BrokerQuery(#[from] QueryError),
    /// No secret outside of this machine.
    #[error(
        "JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE is needed to listen on {0}: without one, \
         anybody could make tokens. (On a loopback address a development secret is made.)"
    )]
    NoKeys(SocketAddr),
    /// The data directory.
    #[error("the data directory {} cannot be made: {error}", path.display())]
    DataDir {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The example brokerage.
    #[error(transparent)]
    Seed(#[from] crate::seed::SeedError),
    /// The server.
    #[error("the server failed: {0}")]
    Server(#[from] std::io::Error),
    /// A part of the service ended by itself.
    #[error("{0} ended unexpectedly; the service stops")]
    PartEnded(&'static str),
}

/// A service that is ready to run.
pub struct Application {
    config: Config,
    app: Arc<App>,
    database: Database,
    listener: TcpListener,
    origins: Origins,
    tasks: Tasks,
    development_secret: Option<Secret>,
    demo: Option<Brokerage>,
}

/// Time and dice, which tests set.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What time it is.
    pub clock: Clock,
    /// What chance says.
    pub dice: Dice,
}

impl Surroundings {
    /// The real ones.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Clock::system(),
            dice: Dice::system(),
        }
    }
}

impl Application {
    /// Builds the service: keys first, which fail fast, then the address, then the database.
    pub async fn build(config: Config, around: Surroundings) -> Result<Self, AppError> {
        let mut identity = config.identity.settings();
        let development_secret = serve::development_secret(&config, &identity)?;
        if let Some(secret) = &development_secret {
            identity.secret = Some(secret.clone());
        }
        let verifier = Verifier::new(&identity, around.clock.clone())?;
        let listener = serve::listener(&config)?;
        let database = Database::open(&config.database).await?;
        database.migrate().await?;
        let broker_query = match &config.identity.broker_query {
            Some(query) => Some(BrokerageQuery::prepare(database.pool.clone(), query).await?),
            None => None,
        };
        let tasks = Tasks::default();
        let ground = Ground {
            config: &config,
            around: &around,
            database: &database,
            tasks: &tasks,
        };
        let app = Arc::new(ground.wire(verifier, broker_query));
        let demo = if config.demo.demo {
            Some(seeding::begin((&app.pool, &app.crm), &around.clock).await?)
        } else {
            None
        };
        let origins = Origins::new(&config.server.cors_origins);
        Ok(Self {
            config,
            app,
            database,
            listener,
            origins,
            tasks,
            development_secret,
            demo,
        })
    }

    /// The secret that was made because there was none.
    #[must_use]
    pub fn development_secret(&self) -> Option<&Secret> {
        self.development_secret.as_ref()
    }

    /// The example brokerage, if that is what it shows.
    #[must_use]
    pub fn demo(&self) -> Option<&Brokerage> {
        self.demo.as_ref()
    }

    /// Where it listens.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Half of what a process is given to stop in; the other half is for its tasks.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
