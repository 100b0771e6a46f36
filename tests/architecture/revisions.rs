//! A SQL function that changes gets a new revision: without one, databases keep the old function.

use std::path::Path;

use porchlight::platform::database::{FUNCTIONS, SqlFunction};
use sha2::{Digest, Sha256};

/// Set it to write new revisions to the file.
const UPDATE: &str = "UPDATE_REVISIONS";

/// A line of `sql/functions/revisions.txt`.
struct Recorded<'a> {
    name: &'a str,
    revision: i32,
    hash: &'a str,
}

impl<'a> Recorded<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split(' ');
        let mut next = || words.next().expect("a name, a revision and a hash");
        let (name, revision, hash) = (next(), next(), next());
        let revision = revision.parse().expect("a number");
        Self {
            name,
            revision,
            hash,
        }
    }
}

/// The hash of what follows the line with the revision.
fn hash(function: &SqlFunction) -> String {
    let (_, body) = function.sql.split_once('\n').expect("more than a revision");
    sha256(body)
}

/// In hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let hash = Sha256::digest(bytes);
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Why a function cannot be recorded.
fn objection(recorded: &Recorded<'_>, functions: &[SqlFunction]) -> Option<String> {
    let Recorded { name, revision, .. } = recorded;
    let Some(function) = functions.iter().find(|function| function.name == *name) else {
        return Some(format!(
            "sql/functions/{name}.sql is gone, but databases keep the function: drop it in a \
             migration, together with its row in porchlight.functions, and remove its line from \
             sql/functions/revisions.txt"
        ));
    };
    if function.revision < *revision {
        return Some(format!(
            "the revision of sql/functions/{name}.sql must not be less than {revision}"
        ));
    }
    let is_changed = function.revision == *revision && hash(function) != recorded.hash;
    is_changed.then(|| {
        let next = revision + 1;
        format!("sql/functions/{name}.sql has changed: raise its revision to {next}")
    })
}

/// The file as it should be.
fn revised(recorded: &str, functions: &[SqlFunction]) -> Result<String, String> {
    let lines = recorded.lines().map(Recorded::parse);
    let objections: Vec<_> = lines
        .filter_map(|line| objection(&line, functions))
        .collect();
    if !objections.is_empty() {
        return Err(objections.join("\n"));
    }
    let line = |function: &SqlFunction| {
        let (name, revision) = (function.name, function.revision);
        format!("{name} {revision} {}\n", hash(function))
    };
    Ok(functions.iter().map(line).collect())
}

#[test]
fn a_changed_sql_function_has_a_new_revision() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/functions/revisions.txt");
    let recorded = std::fs::read_to_string(&path).expect("the recorded revisions");
    let revised =
        revised(&recorded, FUNCTIONS).unwrap_or_else(|objections| panic!("\n{objections}\n"));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, revised).expect("the file");
        return;
    }
    assert!(
        revised == recorded,
        "\nrecord the new revisions: {UPDATE}=1 cargo test --test architecture revision\n"
    );
}

const OLD: SqlFunction = SqlFunction::new("f", "-- revision: 4\nselect 1");
const CHANGED: SqlFunction = SqlFunction::new("f", "-- revision: 4\nselect 2");
const RAISED: SqlFunction = SqlFunction::new("f", "-- revision: 5\nselect 2");
const LOWERED: SqlFunction = SqlFunction::new("f", "-- revision: 3\nselect 1");
const ANOTHER: SqlFunction = SqlFunction::new("g", "-- revision: 1\nselect 1");

#[test]
fn a_new_function_and_a_new_revision_can_be_recorded() {
    let recorded = revised("", &[OLD]).unwrap();
    assert_eq!(revised(&recorded, &[OLD]).unwrap(), recorded);
    let more = revised(&recorded, &[RAISED, ANOTHER]).unwrap();
    assert!(
        more.starts_with("f 5 ") && more.contains("\ng 1 "),
        "{more}"
    );
}

#[test]
fn a_change_without_a_new_revision_cannot_be_recorded() {
    let recorded = revised("", &[OLD]).unwrap();
    for (functions, objection) in [
        (&[CHANGED][..], "raise its revision to 5"),
        (&[LOWERED], "must not be less than 4"),
        (&[ANOTHER], "drop it in a migration"),
    ] {
        let refused = revised(&recorded, functions).unwrap_err();
        assert!(refused.contains(objection), "{refused}");
    }
}
