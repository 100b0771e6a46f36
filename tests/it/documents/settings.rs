//! The settings and commands that documents name exist, and the settings that exist are documented.

use std::collections::BTreeSet;

use super::{Document, root};
use crate::support::command::porchlight;

/// Variables of scripts and tests, which are no settings of the service.
const OF_SCRIPTS: [&str; 5] = [
    "PORCHLIGHT_BIN",
    "PORCHLIGHT_PROFILE",
    "PORCHLIGHT_TEST_LONG",
    "PORCHLIGHT_TOKEN",
    "PORCHLIGHT_URL",
];

/// The variables that the help of a command names.
async fn settings_of(command: &str) -> BTreeSet<String> {
    let ended = porchlight(&[command, "--help"], &[]).await;
    let names = ended.stdout.split("[env: ").skip(1);
    let names = names.filter_map(|rest| rest.split(['=', ']']).next());
    names.map(ToOwned::to_owned).collect()
}

/// The words of a text that begin like a setting. A name that stands for several ends with `_`.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
    words.filter(|word| word.starts_with("PORCHLIGHT_") && !word.ends_with('_'))
}

#[tokio::test]
async fn every_setting_is_explained_to_operators() {
    let settings = settings_of("serve").await;
    assert!(settings.len() > 40, "{settings:?}");
    let operating = Document::read(&root().join("docs/OPERATING.md"));
    let missing: Vec<_> = settings
        .iter()
        .filter(|name| !operating.text.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/OPERATING.md lacks {missing:?}");
}

#[tokio::test]
async fn every_setting_that_a_document_names_exists() {
    let settings = settings_of("serve").await;
    for document in Document::all() {
        for name in named(&document.text) {
            let exists = settings.contains(name) || OF_SCRIPTS.contains(&name);
            assert!(exists, "{} names {name}", document.name);
        }
    }
}

#[tokio::test]
async fn every_command_that_a_sentence_names_exists() {
    let help = porchlight(&["--help"], &[]).await.stdout;
    let (_, commands) = help.split_once("Commands:").expect("commands");
    let commands = commands.split("\n\n").next().expect("a list");
    let commands: BTreeSet<_> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains("serve"), "{commands:?}");
    for document in Document::all() {
        let spans = document.text.split('`').skip(1).step_by(2);
        for span in spans.filter_map(|span| span.strip_prefix("porchlight ")) {
            let command = span.split_whitespace().next().unwrap_or_default();
            let exists = commands.contains(command) || command.starts_with('-');
            assert!(exists, "{} names `porchlight {span}`", document.name);
        }
    }
}
