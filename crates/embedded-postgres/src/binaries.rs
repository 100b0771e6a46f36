//! The search for Postgres: the directory of its binaries, and their version.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::error::Problem;

mod locations;

use locations::Location;

/// The Postgres to look for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// The configured directory. Without one the known locations are searched.
    pub(crate) dir: Option<&'a Path>,
    pub(crate) oldest_major: u32,
    /// The version of an existing cluster, which is preferred.
    pub(crate) cluster_major: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    pub(crate) major: u32,
}

impl Binaries {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The configured directory, or the first location with a usable Postgres.
pub(crate) fn find(wanted: &Wanted<'_>, account: &Account) -> Result<Binaries, Problem> {
    match wanted.dir {
        None => choose(&locations::all(), wanted, account),
        Some(dir) => examine(dir, wanted, account).map_err(|why| Problem::BinDir {
            dir: dir.to_owned(),
            why,
        }),
    }
}

/// A program that comes with Postgres: from the configured directory, from a location where the search looks,
/// or from the `PATH`.
pub(crate) fn find_program(name: &str, configured: Option<&Path>) -> Option<PathBuf> {
    programs(name, configured).next()
}

/// The first program of this version, or else the first newer one.
pub(crate) fn find_program_for(
    name: &str,
    configured: Option<&Path>,
    major: u32,
) -> Option<PathBuf> {
    let found = programs(name, configured);
    let found = found.filter_map(|program| Some((self::major(&program).ok()?, program)));
    let mut found: Vec<_> = found.filter(|(its, _)| *its >= major).collect();
    let best = found.iter().position(|(its, _)| *its == major).unwrap_or(0);
    (!found.is_empty()).then(|| found.swap_remove(best).1)
}

fn programs(name: &str, configured: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let known = locations::all().into_iter().flat_map(|one| one.dirs);
    let dirs = configured.map(Path::to_owned).into_iter().chain(known);
    let others: Vec<_> = env::split_paths(&path).collect();
    let programs = dirs.chain(others).map(move |dir| dir.join(name));
    programs.filter(|program| program.is_file())
}

fn choose(
    locations: &[Location],
    wanted: &Wanted<'_>,
    account: &Account,
) -> Result<Binaries, Problem> {
    let mut looked = String::new();
    let mut seen = BTreeSet::new();
    let mut usable = Vec::new();
    for location in locations {
        if location.dirs.is_empty() {
            let _ = write!(looked, "\n  {}: nothing there", location.name);
        }
        for dir in location.dirs.iter().filter(|dir| seen.insert(*dir)) {
            match examine(dir, wanted, account) {
                Ok(binaries) => usable.push(binaries),
                Err(why) => {
                    let _ = write!(looked, "\n  {} ({}): {why}", dir.display(), location.name);
                }
            }
        }
    }
    let best = usable
        .iter()
        .position(|binaries| Some(binaries.major) == wanted.cluster_major)
        .unwrap_or(0);
    if usable.is_empty() {
        return Err(Problem::NoBinaries {
            oldest_major: wanted.oldest_major,
            looked,
        });
    }
    Ok(usable.swap_remove(best))
}

/// The Postgres in a directory, or why there is none that can be used.
fn examine(dir: &Path, wanted: &Wanted<'_>, account: &Account) -> Result<Binaries, String> {
    for name in ["postgres", "initdb"] {
        if !dir.join(name).is_file() {
            return Err(format!("there is no {name} in it"));
        }
    }
    account
        .must_reach(dir)
        .map_err(|_| format!("user \"{}\" may not enter it", account.name()))?;
    let major = major(&dir.join("postgres"))?;
    let oldest = wanted.oldest_major;
    if major < oldest {
        return Err(format!(
            "it is Postgres {major}, and {oldest} or newer is needed"
        ));
    }
    let dir = dir.to_owned();
    Ok(Binaries { dir, major })
}

/// The version of a program of Postgres.
fn major(postgres: &Path) -> Result<u32, String> {
    let answer = Command::new(postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!("it does not run: {error}"))?;
    let output = String::from_utf8_lossy(&answer.stdout);
    parse_major(&output).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&answer.stderr);
        format!("it does not say its version: {output}{complaint}")
    })
}

/// Reads `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, or `… 18beta1`.
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

    const WRITE_FAKES: &str = r#"for name in postgres initdb; do
        printf '#!/bin/sh\necho "postgres (PostgreSQL) %s.1"\n' "$0" > "$name"
        chmod 755 "$name"
    done"#;

    fn wanted(cluster_major: Option<u32>) -> Wanted<'static> {
        Wanted {
            dir: None,
            oldest_major: 15,
            cluster_major,
        }
    }

    /// Directories with fake binaries, one for each version.
    fn installed(root: &Path, majors: &[u32]) -> Vec<Location> {
        let install = |major: &u32| {
            let dir = root.join(major.to_string());
            fs::create_dir(&dir).unwrap();
            // Another process writes them. If this one did, a fork in a test that runs at the
            // same time would keep the file busy, and it could not be executed.
            let written = Command::new("sh")
                .args(["-ec", WRITE_FAKES, &major.to_string()])
                .current_dir(&dir)
                .status();
            assert!(written.unwrap().success());
            dir
        };
        vec![Location {
            name: "here".to_owned(),
            dirs: majors.iter().map(install).collect(),
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
        let locations = installed(root.path(), &[14, 17, 16]);
        let found = choose(&locations, &wanted(None), &ANYBODY).unwrap();
        assert_eq!(found.major, 17);
    }

    #[test]
    fn the_version_of_an_existing_cluster_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let locations = installed(root.path(), &[17, 16]);
        let found = |cluster| choose(&locations, &wanted(Some(cluster)), &ANYBODY);
        assert_eq!(found(16).unwrap().major, 16);
        assert_eq!(found(15).unwrap().major, 17);
    }

    #[test]
    fn the_refusal_lists_where_it_looked_and_what_was_wrong_there() {
        let root = tempfile::tempdir().unwrap();
        let mut locations = installed(root.path(), &[14]);
        locations.push(Location {
            name: "elsewhere".to_owned(),
            dirs: Vec::new(),
        });
        let refusal = choose(&locations, &wanted(None), &ANYBODY);
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains("it is Postgres 14"), "{refusal}");
        assert!(refusal.contains("elsewhere: nothing there"), "{refusal}");
    }

    #[test]
    fn a_named_directory_without_binaries_is_refused_and_not_replaced() {
        let empty = tempfile::tempdir().unwrap();
        let wanted = Wanted {
            dir: Some(empty.path()),
            ..wanted(None)
        };
        let refusal = find(&wanted, &ANYBODY).unwrap_err();
        assert!(matches!(refusal, Problem::BinDir { .. }));
    }
}
