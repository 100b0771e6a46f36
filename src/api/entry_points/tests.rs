//! Chance and the corpus, for each parser of the list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::all;
use crate::platform::entry_point::EntryPoint;

/// Pieces of what parsers read.
const WORDS: &[&str] = &[
    "GET /events HTTP/1.1\r\nHost: x\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1 200 OK\r\n",
    "\r\n",
    "\n",
    "0\r\n\r\n",
    "data: ",
    "id: 7-k7q2\n",
    "event: x\n",
    "retry: 5\n",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "null",
    "true",
    "1042-k7q2mw",
    "-20",
    "0",
    "9223372036854775807",
    "team:a",
    "escrow:*",
    "escrows/e-1",
    "2025-11-02T12:00:00.000Z",
    "$1,250.00",
    "=",
    "&",
    "%20",
    "%ff",
    "ü",
    "a",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What is kept for a parser.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = folder().join("corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let files = files.map(|file| file.expect("a file").path());
    files
        .map(|file| std::fs::read(file).expect("bytes"))
        .collect()
}

#[test]
fn every_parser_reads_its_corpus() {
    for entry in all() {
        let corpus = corpus(entry.name);
        assert!(!corpus.is_empty(), "{}", entry.name);
        for bytes in corpus {
            give(entry, &bytes);
        }
    }
}

#[test]
fn every_parser_has_one_target_of_cargo_fuzz() {
    let names: BTreeSet<_> = all().iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), all().len());
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).expect("a manifest");
    let targets: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|name| *name != "porchlight-fuzz")
        .collect();
    assert_eq!(targets, names);
    for name in names {
        let target = folder().join("targets").join(format!("{name}.rs"));
        let target = std::fs::read_to_string(target).expect("a target");
        assert!(target.contains(&format!("read(\"{name}\"")), "{name}");
    }
}

/// A change of something from the corpus.
#[derive(Clone, Debug)]
enum Change {
    Cut(Index),
    Put(Index, Vec<u8>),
    Double(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let word = select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let word = prop_oneof![word, vec(any::<u8>(), 1..3)];
    prop_oneof![
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), word).prop_map(|(at, word)| Change::Put(at, word)),
        any::<Index>().prop_map(Change::Double),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Change::Put(at, word) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, word.iter().copied());
            }
            Change::Double(at) => {
                let tail = bytes[at.index(bytes.len() + 1)..].to_vec();
                bytes.extend(tail);
            }
        }
    }
    bytes
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let words = vec(select(WORDS), 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![vec(any::<u8>(), 0..64), words]
}

/// Gives bytes to a parser, and says to which if it fails.
fn give(entry: EntryPoint, bytes: &[u8]) {
    let read = std::panic::catch_unwind(|| (entry.read)(bytes));
    assert!(
        read.is_ok(),
        "{}: {:?}",
        entry.name,
        bytes.escape_ascii().to_string()
    );
}

proptest! {
    // What breaks a parser goes to the corpus.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_a_parser(bytes in input()) {
        for entry in all() {
            give(entry, &bytes);
        }
    }

    #[test]
    fn no_change_of_the_corpus_breaks_a_parser(
        entry in select(all()), which in any::<Index>(), changes in vec(change(), 1..4),
    ) {
        let corpus = corpus(entry.name);
        let bytes = changed(corpus[which.index(corpus.len())].clone(), &changes);
        give(entry, &bytes);
    }
}
