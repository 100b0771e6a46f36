//! The application: builds every part, runs the service, and stops the parts in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{DemoSignIn, Origins, Services};
use crate::config::Config;
use crate::directory::{BrokerageQuery, QueryError};
use crate::identity::{TokenSigner, Verifier};
use crate::log::InvalidTarget;
use crate::platform::traces::BadTarget;
use crate::platform::{ArrivalRush, BackgroundTasks, Clock, Dice, return_memory};
use crate::platform::{Database, ServiceManager, database};
use crate::records::{Brokerage, SeedError};
use crate::sessions;

mod open_files;
mod prepare;
mod seeding;
mod serve;
mod server;
mod watchdog;
mod wire;
mod work;

pub use prepare::{NewEpochs, prepare, renew_epochs};
pub use seeding::{Example, seed};
use wire::{INSTANCE_LEN, Wiring};
pub use work::WorkerApplication;

/// Why the service could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Database(#[from] database::DatabaseError),
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    #[error("PORCHLIGHT_BACKPLANE {0}")]
    Backplane(#[from] InvalidTarget),
    #[error("traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
    Traces(#[from] BadTarget),
    #[error(transparent)]
    BrokerQuery(#[from] QueryError),
    #[error(
        "JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE is needed to listen on {0}: without one, \
         anyone could sign tokens. (On a loopback address a development secret is generated.)"
    )]
    NoKeys(SocketAddr),
    #[error(
        "{setting} is needed to listen on {addr}: without it, a token that was made for another service \
         is accepted. Set it to `any` if the keys sign tokens for this service only. (On a loopback \
         address it may be missing.)"
    )]
    NoTokenCheck {
        setting: &'static str,
        addr: SocketAddr,
    },
    #[error(
        "the data directory {} cannot be created: {error}. Choose another one with PORCHLIGHT_DATA_DIR or \
         --data-dir",
        path.display()
    )]
    DataDir {
        path: std::path::PathBuf,
        error: std::io::Error,
    },
    #[error("cannot listen on {0}: {1}. Choose another address with PORCHLIGHT_ADDR or --addr")]
    Listen(SocketAddr, std::io::Error),
    #[error(transparent)]
    Seed(#[from] crate::records::SeedError),
    #[error("the server failed: {0}")]
    Server(#[from] std::io::Error),
    /// A background task ended by itself.
    #[error("{0} ended unexpectedly; the service stops")]
    PartEnded(&'static str),
}

/// A service that is ready to run.
pub struct Application {
    config: Config,
    services: Arc<Services>,
    database: Database,
    listener: TcpListener,
    origins: Origins,
    tasks: BackgroundTasks,
    development_signer: Option<TokenSigner>,
    demo: Option<Brokerage>,
    manager: Arc<ServiceManager>,
}

/// The clock, the source of randomness, and the times at which clients arrive. Tests pass their own.
#[derive(Clone, Debug)]
pub struct Environment {
    pub clock: Clock,
    pub dice: Dice,
    pub rush: ArrivalRush,
}

impl Environment {
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Clock::system(),
            dice: Dice::system(),
            rush: ArrivalRush::default(),
        }
    }
}

impl Application {
    /// Builds the service. Keys come first, because their errors show at once, then the address, then
    /// the database. It listens when everything else is there, because clients that connect before would wait.
    pub async fn build(config: Config, environment: Environment) -> Result<Self, AppError> {
        let mut identity = config.identity.settings();
        let development_secret = serve::development_secret(&config, &identity)?;
        serve::require_token_checks(&config)?;
        config.backplane.redis()?;
        let traces = config.traces.target()?;
        let is_development = development_secret.is_some();
        identity.secret = identity.secret.or(development_secret);
        let development_signer = TokenSigner::new(&identity).filter(|_| is_development);
        let verifier = Verifier::new(&identity, environment.clock.clone())?;
        let socket = serve::bind(&config)?;
        let database = Database::open(&config.database, &config.quotas).await?;
        serve::warn_of_pooler(&config, &database)?;
        prepare(&database).await?;
        let revoked = sessions::load(&database.core, &verifier).await;
        let revoked = revoked.map_err(database::DatabaseError::Prepare)?;
        let broker_query = match &config.identity.broker_query {
            Some(query) => Some(BrokerageQuery::prepare(database.pool.clone(), query).await?),
            None => None,
        };
        let tasks = BackgroundTasks::new(environment.dice.tag(INSTANCE_LEN));
        let wiring = Wiring::new(&config, &environment, &database, &tasks);
        let wiring = wiring.with_traces(traces);
        tasks.spawn(return_memory(tasks.stop_last()));
        let mut services = wiring.services(verifier, revoked, broker_query);
        if config.demo.demo {
            let brokerage = Brokerage::example().map_err(SeedError::from)?;
            services.demo = DemoSignIn::new(brokerage, &identity, environment.clock.clone());
        }
        let services = Arc::new(services);
        let demo = if config.demo.demo {
            Some(seeding::begin(&services.pool, &services.records, &environment.clock).await?)
        } else {
            None
        };
        let origins = Origins::new(&config.server.cors_origins);
        let listener = serve::listen(socket, &config)?;
        Ok(Self {
            config,
            services,
            database,
            listener,
            origins,
            tasks,
            development_signer,
            demo,
            manager: Arc::default(),
        })
    }

    /// The same, which tells a service manager how it is.
    #[must_use]
    pub fn with_manager(self, manager: ServiceManager) -> Self {
        let manager = Arc::new(manager);
        Self { manager, ..self }
    }

    /// Signs with the secret that was generated because there is no key.
    #[must_use]
    pub fn development_signer(&self) -> Option<&TokenSigner> {
        self.development_signer.as_ref()
    }

    /// The example brokerage of a demo.
    #[must_use]
    pub fn demo(&self) -> Option<&Brokerage> {
        self.demo.as_ref()
    }

    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Half of the time in which a process stops. The other half is for its background tasks.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
