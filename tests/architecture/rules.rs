//! The rules, each with its reason.

/// What some modules must not name.
pub(crate) struct Never {
    pub(crate) modules: &'static [&'static str],
    pub(crate) name: &'static [&'static str],
    pub(crate) because: &'static str,
}

pub(crate) const NEVER: &[Never] = &[
    Never {
        modules: &[
            "activity",
            "bench",
            "clock",
            "config",
            "database",
            "event",
            "event_log",
            "follower",
            "hints",
            "history",
            "hub",
            "identity",
            "ids",
            "instances",
            "lifecycle",
            "locks",
            "metrics",
            "modules",
            "notifications",
            "people",
            "presence",
            "records",
            "relay",
            "signals",
            "stream",
            "telemetry",
        ],
        name: &["crate::http", "crate::app", "crate::cli"],
        because: "what does the work does not know how it was asked, nor who wired it",
    },
    Never {
        modules: &[
            "activity",
            "clock",
            "config",
            "database",
            "event",
            "event_log",
            "follower",
            "hints",
            "history",
            "hub",
            "identity",
            "ids",
            "instances",
            "lifecycle",
            "locks",
            "metrics",
            "modules",
            "notifications",
            "people",
            "presence",
            "records",
            "relay",
            "signals",
            "telemetry",
        ],
        name: &["actix_web", "actix_http", "actix_cors"],
        because: "a change of web framework touches http, and the body of a stream",
    },
    Never {
        modules: &["event_log"],
        name: &[
            "crate::hub",
            "crate::follower",
            "crate::stream",
            "crate::history",
        ],
        because: "the log is the truth: it does not depend on who reads it",
    },
    Never {
        modules: &[
            "event_log",
            "hub",
            "follower",
            "event",
            "ids",
            "hints",
            "instances",
        ],
        name: &["crate::identity"],
        because: "what happened does not depend on who may see it: rights are checked at the door",
    },
    Never {
        modules: &["hub"],
        name: &["crate::stream", "crate::follower", "crate::history"],
        because: "memory is filled from one side and read from the other, and reaches to neither",
    },
    Never {
        modules: &["follower"],
        name: &["crate::stream", "crate::history"],
        because: "following goes on whether anybody reads or not",
    },
    Never {
        modules: &["presence"],
        name: &["crate::event_log", "crate::stream", "crate::follower"],
        because: "who is here is a state: it is never logged, and known whoever listens",
    },
    Never {
        modules: &["locks"],
        name: &[
            "crate::hub",
            "crate::follower",
            "crate::stream",
            "crate::history",
        ],
        because: "a lock is a row and what the log tells of it, whoever listens",
    },
    Never {
        modules: &["notifications", "activity", "people"],
        name: &[
            "crate::hub",
            "crate::follower",
            "crate::stream",
            "crate::history",
        ],
        because: "what people are told by name is rows and the log, whoever listens",
    },
    Never {
        modules: &["relay"],
        name: &[
            "crate::hub",
            "crate::follower",
            "crate::identity",
            "crate::stream",
            "crate::history",
        ],
        because: "what watched tables tell goes to the log, whoever listens",
    },
    Never {
        modules: &["stream"],
        name: &[
            "crate::history",
            "crate::event_log::append",
            "crate::event_log::writer",
        ],
        because: "a stream reads; a page of history is a reader beside it, not beneath it",
    },
    Never {
        modules: &["signals"],
        name: &[
            "crate::event_log",
            "crate::database",
            "crate::follower",
            "crate::history",
            "crate::stream",
        ],
        because: "a signal is told and forgotten: the log never hears of it",
    },
    Never {
        modules: &["http"],
        name: &[
            "crate::event_log::append",
            "crate::event_log::read",
            "crate::follower",
            "crate::hub::ring",
            "crate::hub::desk",
            "crate::locks::row",
            "crate::event_log::teller",
            "crate::notifications::notifier",
            "crate::locks::expiry",
            "crate::config",
            "crate::database",
        ],
        because: "handlers extract, call and respond; the log is written by its writer alone",
    },
];

/// All that some modules may name of this crate.
pub(crate) struct Only {
    pub(crate) module: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) because: &'static str,
}

pub(crate) const ONLY: &[Only] = &[
    Only {
        module: "ids",
        names: &[],
        because: "names are the ground everything stands on",
    },
    Only {
        module: "clock",
        names: &[],
        because: "time is handed in, from nowhere else",
    },
    Only {
        module: "lifecycle",
        names: &[],
        because: "tasks are tasks, whatever they do",
    },
    Only {
        module: "metrics",
        names: &[],
        because: "everybody counts; counting needs nobody",
    },
    Only {
        module: "event",
        names: &["ids"],
        because: "an event is what it says, and no more",
    },
    Only {
        module: "modules",
        names: &["ids"],
        because: "nothing in the core knows a module by its name",
    },
    Only {
        module: "records",
        names: &["event", "event_log", "identity", "ids"],
        because: "the log says who may see a record, whatever is done with it",
    },
    Only {
        module: "hints",
        names: &["event", "ids"],
        because: "a hint says where, not what for",
    },
    Only {
        module: "identity",
        names: &["clock", "ids"],
        because: "who is calling is decided by a token and the time, whatever is asked for",
    },
    Only {
        module: "bench",
        names: &["clock"],
        because: "a measure that shared code with what it measures would share its faults",
    },
];

/// Words that few may say.
pub(crate) struct Word {
    pub(crate) words: &'static [&'static str],
    pub(crate) only_in: &'static [&'static str],
    pub(crate) because: &'static str,
}

pub(crate) const WORDS: &[Word] = &[
    Word {
        words: &["sqlx::query"],
        only_in: &[
            "src/event_log",
            "src/locks",
            "src/database",
            "src/http/health.rs",
            "src/instances/announce.rs",
            "src/presence/store.rs",
            "src/relay",
            "src/notifications",
            "src/people.rs",
        ],
        because: "the SQL of the log stands in one place, that of locks in another (a hint is no \
                  part of the log)",
    },
    Word {
        words: &["hub.publish(", "hub.jump(", "Hub::publish", "Hub::jump"],
        only_in: &["src/follower"],
        because: "one writer: memory has the order of the log because nobody else adds to it",
    },
    Word {
        words: &["hub.whisper(", "Hub::whisper"],
        only_in: &["src/presence", "src/signals"],
        because: "states are told by those who keep them",
    },
    Word {
        words: &[
            "now_utc",
            "SystemTime::now",
            "rand::rng(",
            "rand::random",
            "thread_rng",
        ],
        only_in: &["src/clock.rs"],
        because: "time and dice are handed in, so that tests set them",
    },
    Word {
        words: &["SysRng", "OsRng"],
        only_in: &["src/identity/development.rs"],
        because: "secrets come from the operating system, and only secrets do",
    },
    Word {
        words: &["new_v4"],
        only_in: &[
            "src/http/access.rs",
            "src/stream/body/greeting.rs",
            "src/bench",
        ],
        because: "names of requests and streams: unique, and nothing depends on them",
    },
    Word {
        words: &["Clock::system(", "Dice::system(", "Surroundings::system("],
        only_in: &["src/app.rs", "src/cli", "src/bench"],
        because: "who starts hands in the time; everybody else takes it",
    },
    Word {
        words: &[
            "Hub::new(",
            "Follower::new(",
            "Writer::new(",
            "Desk::new(",
            "Locks::new(",
            "Teller::new(",
            "TicketOffice::new(",
            "Metrics::new(",
            "Verifier::new(",
            "Committed::new(",
            "RecordBook::new(",
            "Keeper::new(",
            "Signals::new(",
            "Notifications::new(",
            "Activity::new(",
        ],
        only_in: &["src/app"],
        because: "one place wires",
    },
    Word {
        words: &["Application::build(", "Database::open("],
        only_in: &["src/app", "src/cli"],
        because: "one place wires, and the command line starts it",
    },
    Word {
        words: &["std::env::var", "env::var("],
        only_in: &[
            "src/config",
            "src/cli",
            "src/database/embedded",
            "src/bench",
        ],
        because: "what can be set is listed in one place, and is seen in --help",
    },
];
