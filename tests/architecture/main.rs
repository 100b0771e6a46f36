//! What must never be, held against the source: which module may know which, who may
//! say certain words, and how long a file may grow.

mod source;

use std::path::Path;

use source::Source;

/// What some modules must not name.
struct Never {
    modules: &'static [&'static str],
    name: &'static [&'static str],
    because: &'static str,
}

const NEVER: &[Never] = &[
    Never {
        modules: &[
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
            "lifecycle",
            "metrics",
            "stream",
            "telemetry",
        ],
        name: &["crate::http", "crate::app", "crate::cli"],
        because: "what does the work does not know how it was asked, nor who wired it",
    },
    Never {
        modules: &[
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
            "lifecycle",
            "metrics",
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
        modules: &["event_log", "hub", "follower", "event", "ids", "hints"],
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
        modules: &["stream"],
        name: &[
            "crate::history",
            "crate::event_log::append",
            "crate::event_log::writer",
        ],
        because: "a stream reads; a page of history is a reader beside it, not beneath it",
    },
    Never {
        modules: &["http"],
        name: &[
            "crate::event_log::append",
            "crate::event_log::read",
            "crate::follower",
            "crate::hub::ring",
            "crate::hub::desk",
            "crate::config",
            "crate::database",
        ],
        because: "handlers extract, call and respond; the log is written by its writer alone",
    },
];

/// All that some modules may name of this crate.
struct Only {
    module: &'static str,
    names: &'static [&'static str],
    because: &'static str,
}

const ONLY: &[Only] = &[
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
struct Word {
    words: &'static [&'static str],
    only_in: &'static [&'static str],
    because: &'static str,
}

const WORDS: &[Word] = &[
    Word {
        words: &["sqlx::query"],
        only_in: &[
            "src/event_log",
            "src/database",
            "src/http/health.rs",
            "src/follower/announce.rs",
        ],
        because: "the SQL of the log stands in one place (a hint is no part of the log)",
    },
    Word {
        words: &["hub.publish(", "hub.jump(", "Hub::publish", "Hub::jump"],
        only_in: &["src/follower"],
        because: "one writer: memory has the order of the log because nobody else adds to it",
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
            "TicketOffice::new(",
            "Metrics::new(",
            "Verifier::new(",
            "Committed::new(",
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

const MOST_LINES: usize = 400;

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_in(file: &str, module: &str) -> bool {
    let below = file
        .strip_prefix("src/")
        .and_then(|file| file.strip_prefix(module));
    below.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Everything in `sources` that must not be.
fn violations(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(violations_of).collect()
}

fn violations_of(source: &Source) -> Vec<String> {
    let Source {
        file,
        paths,
        code,
        lines,
    } = source;
    let mut found = Vec::new();
    for rule in NEVER
        .iter()
        .filter(|rule| rule.modules.iter().any(|m| is_in(file, m)))
    {
        for path in paths
            .iter()
            .filter(|path| rule.name.iter().any(|name| is_below(path, name)))
        {
            found.push(format!("{file} names {path}, but {}", rule.because));
        }
    }
    for rule in ONLY.iter().filter(|rule| is_in(file, rule.module)) {
        let may = |path: &str| {
            let mut names = rule.names.iter().chain([&rule.module]);
            names.any(|name| is_below(path, &format!("crate::{name}")))
        };
        for path in paths
            .iter()
            .filter(|path| path.starts_with("crate::") && !may(path))
        {
            found.push(format!("{file} names {path}, but {}", rule.because));
        }
    }
    for rule in WORDS
        .iter()
        .filter(|rule| !rule.only_in.iter().any(|at| file.starts_with(at)))
    {
        for word in rule.words.iter().filter(|word| code.contains(*word)) {
            found.push(format!("{file} says {word}, but {}", rule.because));
        }
    }
    if *lines > MOST_LINES {
        found.push(format!(
            "{file} has {lines} lines without its tests; {MOST_LINES} will do"
        ));
    }
    found
}

#[test]
fn no_module_knows_what_it_must_not() {
    let sources = Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 50, "the source was not found");
    let found = violations(&sources);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_rule_speaks_of_modules_and_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exists = |at: &str| root.join(at).exists() || root.join(format!("{at}.rs")).exists();
    let modules = NEVER.iter().flat_map(|rule| rule.modules).copied();
    let modules = modules.chain(ONLY.iter().map(|rule| rule.module));
    for module in modules.chain(ONLY.iter().flat_map(|rule| rule.names).copied()) {
        assert!(exists(&format!("src/{module}")), "{module}");
    }
    let named = NEVER.iter().flat_map(|rule| rule.name);
    for path in named.filter_map(|name| name.strip_prefix("crate::")) {
        assert!(
            exists(&format!("src/{}", path.replace("::", "/"))),
            "{path}"
        );
    }
    for place in WORDS.iter().flat_map(|rule| rule.only_in) {
        assert!(exists(place), "{place}");
    }
}

#[test]
fn a_violation_of_each_rule_would_be_noticed() {
    let noticed = |file: &str, text: &str| {
        let found = violations(&[Source::parse(file, text)]);
        assert!(!found.is_empty(), "{file}: {text}");
    };
    for rule in NEVER {
        for (module, name) in rule
            .modules
            .iter()
            .flat_map(|m| rule.name.iter().map(move |n| (m, n)))
        {
            let file = format!("src/{module}/fake.rs");
            noticed(&file, &format!("use {name}::Something;"));
            noticed(&file, &format!("fn f() {{ {name}::go('\"') }}"));
            if let Some((root, last)) = name.rsplit_once("::") {
                noticed(
                    &file,
                    &format!("use {root}::{{ids, {last}::{{self, A as B}}, z}};"),
                );
                noticed(
                    &file,
                    &format!("use {root}::{{\n    x::Y,\n    {last},\n}};"),
                );
            }
            if let Some(below) = name.strip_prefix("crate::") {
                noticed(&file, &format!("use super::super::{below}::Something;"));
            }
        }
    }
    for rule in ONLY {
        let file = format!("src/{}/fake.rs", rule.module);
        noticed(&file, "use crate::{ids::UserId, stream::Filter};");
    }
    for (rule, word) in WORDS
        .iter()
        .flat_map(|rule| rule.words.iter().map(move |w| (rule, w)))
    {
        noticed(
            "src/http/fake.rs",
            &format!("fn f() {{ x.{word} }} // {}", rule.because),
        );
        noticed(
            "src/http/fake.rs",
            &format!("x\n  .{}", word.replace('.', "\n    .")),
        );
    }
    noticed("src/fake.rs", &"fn f() {}\n".repeat(MOST_LINES + 1));
}

#[test]
fn comments_strings_and_tests_are_no_violations() {
    let text = r#"
        //! See [`crate::http`] and sqlx::query.
        use crate::ids::{self, UserId};
        /* crate::http */
        fn f<'a>(c: char) -> &'a str {
            if c == '"' || c == '\'' { "crate::http \" rand::rng()" } else { "\\" }
        }
#[cfg(test)]
mod tests { use crate::http::Problem; }
    "#;
    assert_eq!(
        violations(&[Source::parse("src/event/fake.rs", text)]),
        [""; 0]
    );
}
