//! Where systems keep Postgres.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories that hold one directory for each version: the parent, what stands before
/// the version in the name, and where the binaries are in it.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"), // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),          // Red Hat
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A place by name, and the directories found there, best first.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) dirs: Vec<PathBuf>,
}

/// All places, best first.
pub(super) fn all() -> Vec<Place> {
    let mut places = vec![search_path()];
    places.extend(VERSIONED.iter().map(|(parent, prefix, suffix)| {
        Place {
            name: format!("{parent}/{prefix}*/{suffix}"),
            dirs: versions(Path::new(parent), prefix)
                .into_iter()
                .map(|dir| dir.join(suffix))
                .collect(),
        }
    }));
    places.push(pg_config());
    places
}

/// Most directories of the `PATH` have nothing to do with Postgres and are not mentioned.
fn search_path() -> Place {
    let path = env::var_os("PATH").unwrap_or_default();
    Place {
        name: "PATH".to_owned(),
        dirs: env::split_paths(&path)
            .filter(|dir| dir.join("postgres").is_file())
            .collect(),
    }
}

fn pg_config() -> Place {
    let answer = Command::new("pg_config").arg("--bindir").output();
    let said = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    let dir = said.ok().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Place {
        name: "pg_config --bindir".to_owned(),
        dirs: dir.into_iter().collect(),
    }
}

/// The directories named by a version after `prefix`, highest first.
fn versions(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path()))
        })
        .collect();
    found.sort_by_key(|(major, _)| Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first_and_numbers_are_not_words() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pg-9", "pg-17", "pg-16", "pg-latest", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names = ["pg-17", "pg-16", "pg-9"].map(|name| parent.path().join(name));
        assert_eq!(versions(parent.path(), "pg-"), names);
    }
}
