//! Which Postgres: where its binaries are, and which version.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;
use super::account::Account;

mod places;

use places::Place;

/// What the schema and the settings need.
const OLDEST_MAJOR: u32 = 15;

/// A Postgres that can be run.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The directory that was named, or else the first of the known places that serves; one of
/// the `wanted` version goes before all others.
pub(super) fn find(
    named: Option<&Path>,
    wanted: Option<u32>,
    account: &Account,
) -> Result<Binaries, EmbeddedError> {
    match named {
        None => choose(&places::all(), wanted, account),
        Some(dir) => examine(dir, account).map_err(|why| EmbeddedError::BinDir {
            dir: dir.to_owned(),
            why,
        }),
    }
}

fn choose(
    places: &[Place],
    wanted: Option<u32>,
    account: &Account,
) -> Result<Binaries, EmbeddedError> {
    let mut looked = String::new();
    let mut seen = BTreeSet::new();
    let mut usable = Vec::new();
    for place in places {
        if place.dirs.is_empty() {
            let _ = write!(looked, "\n  {}: nothing there", place.name);
        }
        for dir in place.dirs.iter().filter(|dir| seen.insert(*dir)) {
            match examine(dir, account) {
                Ok(binaries) => usable.push(binaries),
                Err(why) => {
                    let _ = write!(looked, "\n  {} ({}): {why}", dir.display(), place.name);
                }
            }
        }
    }
    let best = usable
        .iter()
        .position(|binaries| Some(binaries.major) == wanted)
        .unwrap_or(0);
    if usable.is_empty() {
        return Err(EmbeddedError::NoBinaries { looked });
    }
    Ok(usable.swap_remove(best))
}

/// What is in a directory, or why it does not serve.
fn examine(dir: &Path, account: &Account) -> Result<Binaries, String> {
    for name in ["postgres", "initdb"] {
        if !dir.join(name).is_file() {
            return Err(format!("there is no {name} in it"));
        }
    }
    account
        .must_reach(dir)
        .map_err(|_| format!("user \"{}\" may not enter it", account.name()))?;
    let major = major(&dir.join("postgres"))?;
    if major < OLDEST_MAJOR {
        return Err(format!(
            "it is Postgres {major}, and {OLDEST_MAJOR} or newer is needed"
        ));
    }
    let dir = dir.to_owned();
    Ok(Binaries { dir, major })
}

fn major(postgres: &Path) -> Result<u32, String> {
    let answer = Command::new(postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("its postgres does not run: {error}"))?;
    let said = String::from_utf8_lossy(&answer.stdout);
    parse_major(&said).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&answer.stderr);
        format!("its postgres does not tell its version: {said}{complaint}")
    })
}

/// From `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, or `… 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let word = version
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits = word.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ANYBODY: Account = Account {
        uid: 0,
        gid: 0,
        switch: false,
    };

    const WRITE_PRETENDED: &str = r#"for name in postgres initdb; do
        printf '#!/bin/sh\necho "postgres (PostgreSQL) %s.1"\n' "$0" > "$name"
        chmod 755 "$name"
    done"#;

    /// Directories of pretended binaries, one for each version.
    fn installed(root: &Path, majors: &[u32]) -> Vec<Place> {
        let pretend = |major: &u32| {
            let dir = root.join(major.to_string());
            fs::create_dir(&dir).unwrap();
            // Written by another process: a fork in a test beside us would keep it "busy".
            let written = Command::new("sh")
                .args(["-ec", WRITE_PRETENDED, &major.to_string()])
                .current_dir(&dir)
                .status();
            assert!(written.unwrap().success());
            dir
        };
        vec![Place {
            name: "here".to_owned(),
            dirs: majors.iter().map(pretend).collect(),
        }]
    }

    #[test]
    fn the_version_is_understood() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(parse_major(debian), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("no such thing"), None);
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let places = installed(root.path(), &[14, 17, 16]);
        assert_eq!(choose(&places, None, &ANYBODY).unwrap().major, 17);
    }

    #[test]
    fn the_version_of_an_existing_cluster_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let places = installed(root.path(), &[17, 16]);
        assert_eq!(choose(&places, Some(16), &ANYBODY).unwrap().major, 16);
        assert_eq!(choose(&places, Some(15), &ANYBODY).unwrap().major, 17);
    }

    #[test]
    fn the_refusal_lists_where_it_looked_and_what_was_wrong_there() {
        let root = tempfile::tempdir().unwrap();
        let mut places = installed(root.path(), &[14]);
        places.push(Place {
            name: "elsewhere".to_owned(),
            dirs: Vec::new(),
        });
        let refusal = choose(&places, None, &ANYBODY).unwrap_err().to_string();
        assert!(refusal.contains("it is Postgres 14"), "{refusal}");
        assert!(refusal.contains("elsewhere: nothing there"), "{refusal}");
        assert!(refusal.contains("PG_BIN_DIR"), "{refusal}");
    }

    #[test]
    fn a_named_directory_without_binaries_is_refused_and_not_replaced() {
        let empty = tempfile::tempdir().unwrap();
        let refusal = find(Some(empty.path()), None, &ANYBODY).unwrap_err();
        assert!(matches!(refusal, EmbeddedError::BinDir { .. }));
    }
}
