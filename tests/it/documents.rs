//! The documents, followed as a reader follows them: every command is run as it is printed.
//!
//! The shell blocks and the SQL blocks of one document run in their order, in one shell, beside a service with
//! example data. A comment on the line before a block may say how it differs:
//!
//! - `<!-- in a terminal of its own -->`: it runs until somebody stops it, as a service does
//! - `<!-- not run: needs root -->`: it is not run, for this reason
//!
//! The JavaScript of the documents runs in a browser: `web/test/documents.test.mjs`.

mod blocks;
mod session;
mod settings;

use std::path::{Path, PathBuf};

use futures_util::StreamExt;

use blocks::{Block, Way};
use session::Session;

/// Documents that are followed at the same time.
const AT_ONCE: usize = 3;
/// Where documents with commands are. In the others, commands would not be run.
const PLACES: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "examples",
    "clients",
    "web/client",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document with its name relative to the root.
struct Document {
    name: String,
    text: String,
}

impl Document {
    fn all() -> Vec<Self> {
        let mut files = Vec::new();
        for place in PLACES {
            add_files(&root().join(place), &mut files);
        }
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Self {
        let name = file.strip_prefix(root()).expect("a file of ours");
        Self {
            name: name.display().to_string(),
            text: std::fs::read_to_string(file).expect("a document"),
        }
    }

    fn of(text: &str) -> Self {
        Self {
            name: "this test".to_owned(),
            text: text.to_owned(),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        blocks::of(&self.text)
    }

    /// Follows the document, and returns what its commands printed.
    async fn follow(&self) -> Result<String, String> {
        let blocks = self.blocks();
        if !blocks.iter().any(Block::is_run) {
            return Ok(String::new());
        }
        let session = Session::new(&self.name, &blocks);
        session.run().await
    }
}

fn add_files(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_file() && place.extension().is_some_and(|end| end == "md") {
        files.push(place.to_owned());
    } else if let Ok(entries) = std::fs::read_dir(place) {
        let inside = entries.flatten().map(|entry| entry.path());
        for path in inside.filter(|path| !path.ends_with("node_modules")) {
            add_files(&path, files);
        }
    }
}

#[tokio::test]
async fn every_command_of_the_documents_works_as_it_is_printed() {
    let documents = Document::all();
    let followed = futures_util::stream::iter(&documents)
        .map(async |document| (&document.name, document.follow().await));
    let followed: Vec<_> = followed.buffer_unordered(AT_ONCE).collect().await;
    let failures: Vec<_> = followed
        .iter()
        .filter_map(|(_, outcome)| outcome.as_ref().err())
        .collect();
    let failures: Vec<_> = failures.into_iter().map(String::as_str).collect();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
    let readme = followed.iter().find(|(name, _)| *name == "README.md");
    let (_, printed) = readme.expect("the README");
    let printed = printed.as_ref().expect("no failure");
    for event in ["listing:toured", "listing:sold"] {
        let is_seen = printed.contains(&format!("event: {event}\n"));
        assert!(is_seen, "a reader does not see {event}: {printed}");
    }
}

#[test]
fn every_block_with_commands_is_run_or_says_why_not() {
    let mut found = Vec::new();
    for document in Document::all() {
        for block in document.blocks() {
            if let Some(objection) = block.objection() {
                found.push(format!("{}:{}: {objection}", document.name, block.line));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_block_that_looks_like_commands_and_is_not_run_is_noticed() {
    for text in [
        "```\n$ ls\n```",
        "```text\ncurl http://localhost\n```",
        "```sh norun\nls\n```",
        "<!-- not run: -->\n```sh\nls\n```",
        "```ruby\nputs 1\n```",
    ] {
        let blocks = blocks::of(text);
        assert!(blocks[0].objection().is_some(), "{text}");
    }
    let fine =
        "<!-- not run: needs root -->\n```sh\nreboot\n```\n\n```sh\nls\n```\n```json\n{}\n```";
    let blocks = blocks::of(fine);
    assert!(blocks.iter().all(|block| block.objection().is_none()));
    let ways = [Way::NotRun("needs root".to_owned()), Way::Shell, Way::Text];
    assert!(blocks.iter().map(|block| &block.way).eq(&ways));
}

#[tokio::test]
async fn what_a_reader_would_stumble_over_fails() {
    let service = "```sh\neval \"$(scripts/serve seed)\"\n```\n";
    let question = "```sql\nselect 40 + 2 as answer;\n```\n";
    let cases = [
        ("", "```sh\ncat no-such.csv\n```", "no-such.csv"),
        ("", "```sh\necho $NEVER_SET\n```", "NEVER_SET"),
        (
            "",
            "```sh\nno-such-program | head -n 1\necho on\n```",
            "no-such-program",
        ),
        (
            service,
            "```sh\ncurl $URL/nothing -H \"Authorization: Bearer $TOKEN\" | cat\n```",
            "exit status 22",
        ),
        (
            &format!("{service}{question}"),
            "```sql\nselect * from public.nowhere;\n```",
            "public.nowhere",
        ),
    ];
    let failures = cases.map(async |(before, text, reason)| {
        let document = Document::of(&format!("{before}{text}"));
        let failure = document.follow().await.expect_err(text);
        assert!(failure.contains(reason), "{text}: {failure}");
        let place = format!("this test:{} fails", before.lines().count() + 2);
        assert!(failure.contains(&place), "{text}: {failure}");
        failure
    });
    let failures = futures_util::future::join_all(failures).await;
    let last = failures.last().expect("a failure");
    assert!(last.contains("42"), "what works before is run: {last}");
}
