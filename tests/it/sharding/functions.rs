//! The statements in SQL functions, by their text: plans do not show them.

use porchlight::platform::database::FUNCTIONS;

/// Tables of which each row belongs to a brokerage, as functions name them.
const BEFORE_A_TABLE: [&str; 4] = [
    "from porchlight.",
    "join porchlight.",
    "update porchlight.",
    "into porchlight.",
];
/// These have no brokerage: they describe tables and the database.
const OF_ALL: [&str; 10] = [
    "watches",
    "watched_columns",
    "record_tables",
    "record_rules",
    "bulk_staging",
    "functions",
    "origin",
    "poison",
    "lost_changes",
    "told_losses",
];
/// How the statements of functions choose one brokerage: by the parameter, or by the row that a trigger has.
const CHOOSES: [&str; 8] = [
    "broker_id = broker",
    "broker_id = $1",
    "broker_id = check_fence.broker",
    "broker_id = renew_epochs_of_shorter_log.broker",
    "values (broker,",
    "values (new.broker_id,",
    "broker_id = new.broker_id",
    "broker_id = old.broker_id",
];
/// Functions with statements of several brokerages, and why.
const SEVERAL: &[(&str, &str)] = &[
    (
        "capture",
        "inserts rows of a statement of the CRM, each with its brokerage",
    ),
    ("count_keys", "counts again after an upgrade, by brokerage"),
    ("count_locks", "counts again after an upgrade, by brokerage"),
    (
        "count_own_unread",
        "counts the rows of a statement by brokerage; again after an upgrade",
    ),
    ("count_tasks", "counts again after an upgrade, by brokerage"),
    (
        "count_uploads",
        "counts again after an upgrade, by brokerage",
    ),
    (
        "drop_bulk_staging",
        "looks whether the outbox needs a table",
    ),
    (
        "emit_texts",
        "inserts one row of the brokerage that the caller names",
    ),
    (
        "first_bulk_change",
        "looks at the outbox, a queue of this server",
    ),
    (
        "is_anything_waiting",
        "looks at the outbox, a queue of this server",
    ),
    (
        "renew_epochs",
        "renews all logs of a database that was restored",
    ),
    (
        "renew_epochs_of_copy",
        "looks whether a database that was restored has logs",
    ),
    (
        "reset_after_loss",
        "renews all logs: nobody knows which brokerage lost a change",
    ),
    (
        "give_up_bulk_change",
        "replaces a statement of the CRM in the outbox, a queue of this server, by its failure",
    ),
    (
        "unpack_bulk_change",
        "inserts rows of a statement of the CRM, each with its brokerage",
    ),
];

/// Statements that read or write rows of brokerages without choosing one.
fn objections(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let code = lines.collect::<Vec<_>>().join(" ");
    let statements = code.split(';').map(|statement| {
        let words: Vec<_> = statement.split_whitespace().collect();
        words.join(" ")
    });
    let names_a_table = |statement: &str| {
        BEFORE_A_TABLE.iter().any(|before| {
            let mut tables = statement.split(before).skip(1);
            tables.any(|rest| {
                let name = rest
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next();
                let is_function = rest.starts_with(|c: char| c.is_ascii_alphabetic())
                    && rest[name.unwrap_or_default().len()..].starts_with('(');
                !is_function && !name.is_some_and(|name| OF_ALL.contains(&name))
            })
        })
    };
    let chooses = |statement: &str| CHOOSES.iter().any(|choice| statement.contains(choice));
    statements
        .filter(|statement| names_a_table(statement) && !chooses(statement))
        .collect()
}

#[test]
fn functions_choose_one_brokerage() {
    let mut found = Vec::new();
    for function in FUNCTIONS {
        let is_known = SEVERAL.iter().any(|(name, _)| *name == function.name);
        let objections = objections(function.sql);
        if objections.is_empty() == is_known {
            found.push(format!("{}: {}", function.name, objections.join("\n    ")));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n\n"));
}

#[test]
fn a_statement_without_a_brokerage_is_noticed() {
    for (text, is_fine) in [
        (
            "select 1 from porchlight.tasks t where t.broker_id = broker and id = 1;",
            true,
        ),
        ("select 1 from porchlight.tasks t where id = 1;", false),
        (
            "delete from porchlight.events where position < 4; select 1",
            false,
        ),
        ("select * from porchlight.watches w;", true),
        ("select * from porchlight.columns_of(watched);", true),
        (
            "insert into porchlight.quota_use as q (broker_id) values (broker, 1);",
            true,
        ),
    ] {
        assert_eq!(objections(text).is_empty(), is_fine, "{text}");
    }
}
