//! What the document describes, and no test has received. `scripts/test` runs this when all tests have run.

use crate::support::openapi::{DESCRIBED, all_seen};

/// What cannot be received, each with its reason.
const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "Internal",
        "the answer to an error of the program, which no request causes",
    ),
    ("the code internal", "the same"),
];

fn is_possible(thing: &str) -> bool {
    !IMPOSSIBLE.iter().any(|(name, _)| *name == thing)
}

#[test]
#[ignore = "it needs the notes of all other tests: scripts/test runs it after them"]
#[expect(clippy::print_stdout, reason = "scripts/test shows the figures")]
fn tests_receive_all_that_the_document_describes() {
    let seen = all_seen();
    let mut missing = Vec::new();
    println!("Described in openapi.yaml, and received by tests:");
    for kind in DESCRIBED.things() {
        let possible: Vec<_> = kind.all.iter().filter(|thing| is_possible(thing)).collect();
        let all = possible.len();
        let unseen = possible.into_iter().filter(|thing| !seen.contains(*thing));
        let unseen: Vec<_> = unseen.cloned().collect();
        println!("{:4} of {all:4} {}", all - unseen.len(), kind.name);
        missing.extend(unseen);
    }
    for thing in &missing {
        println!("never received: {thing}");
    }
    assert!(missing.is_empty(), "{} are missing", missing.len());
}

#[test]
fn what_is_called_impossible_is_described() {
    for (name, _) in IMPOSSIBLE {
        let mut kinds = DESCRIBED.things().into_iter();
        assert!(kinds.any(|kind| kind.all.contains(*name)), "{name}");
    }
}
