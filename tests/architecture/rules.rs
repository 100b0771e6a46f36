//! The rules: what each module may use, and which words belong to few places.

/// A module at the top of `src`, and the modules that it may use.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) uses: &'static [&'static str],
}

const fn module(name: &'static str, uses: &'static [&'static str]) -> Module {
    Module { name, uses }
}

/// All modules, from the ground up: each uses only modules above it in this table.
pub(crate) const MODULES: &[Module] = &[
    module("platform", &[]),
    module("identity", &["platform"]),
    module("log", &["platform"]),
    module("fanout", &["log", "platform"]),
    module("directory", &["fanout", "identity", "log", "platform"]),
    module(
        "sessions",
        &["directory", "fanout", "identity", "log", "platform"],
    ),
    module(
        "collab",
        &["directory", "fanout", "identity", "log", "platform"],
    ),
    module("inbox", &["directory", "identity", "log", "platform"]),
    module(
        "records",
        &["collab", "directory", "identity", "log", "platform"],
    ),
    module(
        "stream",
        &[
            "collab",
            "directory",
            "fanout",
            "identity",
            "log",
            "platform",
            "sessions",
        ],
    ),
    module(
        "tasks",
        &[
            "collab",
            "directory",
            "fanout",
            "identity",
            "log",
            "platform",
            "records",
            "sessions",
            "stream",
        ],
    ),
    module(
        "operations",
        &[
            "collab", "fanout", "identity", "log", "platform", "sessions", "tasks",
        ],
    ),
    module(
        "api",
        &[
            "collab",
            "directory",
            "fanout",
            "identity",
            "inbox",
            "log",
            "operations",
            "platform",
            "records",
            "sessions",
            "stream",
            "tasks",
        ],
    ),
    module(
        "config",
        &[
            "collab",
            "directory",
            "identity",
            "log",
            "operations",
            "platform",
            "records",
            "stream",
            "tasks",
        ],
    ),
    module(
        "app",
        &[
            "api",
            "collab",
            "config",
            "directory",
            "fanout",
            "identity",
            "inbox",
            "log",
            "operations",
            "platform",
            "records",
            "sessions",
            "stream",
            "tasks",
        ],
    ),
    module(
        "cli",
        &["api", "app", "config", "identity", "platform", "records"],
    ),
];

/// Names of other crates or paths of this one that belong to few places.
pub(crate) struct Reserved {
    pub(crate) names: &'static [&'static str],
    pub(crate) only_in: &'static [&'static str],
    pub(crate) because: &'static str,
}

/// Paths, as `use` or code names them.
pub(crate) const PATHS: &[Reserved] = &[
    Reserved {
        names: &["actix_web", "actix_http", "actix_cors"],
        only_in: &["src/api", "src/app", "src/stream/body"],
        because: "only HTTP handlers and the body of a stream know the web framework",
    },
    Reserved {
        names: &["crate::log::append"],
        only_in: &["src/log"],
        because: "the committer is the only code that appends to the log",
    },
    Reserved {
        names: &["crate::log::read", "crate::log::EventCommitter"],
        only_in: &[
            "src/app",
            "src/collab",
            "src/fanout",
            "src/inbox",
            "src/log",
            "src/stream/history",
            "src/stream/resume",
            "src/tasks",
        ],
        because: "handlers extract, call and respond: they do not read or write the log themselves",
    },
];

/// Words of code. White space does not count.
pub(crate) const WORDS: &[Reserved] = &[
    Reserved {
        names: &["sqlx::query"],
        only_in: &[
            "src/api/database_check.rs",
            "src/collab/locks",
            "src/collab/presence/store",
            "src/directory/brokerages/query.rs",
            "src/directory/people.rs",
            "src/inbox/notifications",
            "src/log",
            "src/platform/database",
            "src/platform/quotas/usage.rs",
            "src/records/catalogue.rs",
            "src/records/row.rs",
            "src/sessions",
            "src/tasks",
        ],
        because: "SQL stands in the modules that own the tables",
    },
    Reserved {
        names: &[
            "fanout.publish(",
            "fanout.jump(",
            "Fanout::publish",
            "Fanout::jump",
        ],
        only_in: &["src/fanout/follower"],
        because: "memory has the order of the log because only the follower adds to it",
    },
    Reserved {
        names: &["publish_ephemeral(", "add_ephemeral("],
        only_in: &["src/collab/presence", "src/collab/signals", "src/fanout"],
        because: "a state is published by the module that keeps it",
    },
    Reserved {
        names: &[
            "now_utc",
            "SystemTime::now",
            "rand::rng(",
            "rand::random",
            "thread_rng",
        ],
        only_in: &["src/platform/clock.rs"],
        because: "time and randomness are passed in, so that tests can set them",
    },
    Reserved {
        names: &["SysRng", "OsRng"],
        only_in: &["src/identity/development.rs"],
        because: "only secrets come from the operating system's randomness",
    },
    Reserved {
        names: &["new_v4"],
        only_in: &[
            "src/api/access.rs",
            "src/stream/log.rs",
            "src/tasks/output/stream.rs",
        ],
        because: "only ids of requests and streams are random: nothing depends on them",
    },
    Reserved {
        names: &["Clock::system(", "Dice::system(", "Environment::system("],
        only_in: &["src/app.rs", "src/cli"],
        because: "the program's start passes time and randomness in; all others take them",
    },
    Reserved {
        names: &[
            "Fanout::new(",
            "Follower::start(",
            "Writer::start(",
            "ReplayLoader::start(",
            "Locks::start(",
            "EventCommitter::new(",
            "ConnectionLimits::new(",
            "SessionSync::task(",
            "Metrics::new(",
            "Verifier::new(",
            "CommitNotifier::new(",
            "RecordAudiences::start(",
            "Presence::start(",
            "Signals::start(",
            "Records::new(",
            "Tasks::new(",
            "Reports::start(",
            "Uploads::new(",
            "Worker::new(",
            "Notifications::start(",
            "Activity::new(",
            "Operations::start(",
        ],
        only_in: &["src/app", "src/identity/entry_points.rs"],
        because: "one place wires",
    },
    Reserved {
        names: &["Application::build(", "Database::open("],
        only_in: &["src/app", "src/cli"],
        because: "one place wires, and the command line starts it",
    },
    Reserved {
        names: &["std::env::var", "env::var("],
        only_in: &["src/config", "src/cli"],
        because: "every setting is listed in one place and shown by --help",
    },
];
