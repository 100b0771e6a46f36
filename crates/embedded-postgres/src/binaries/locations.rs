//! The directories where operating systems install Postgres.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parents of one directory for each version, and the part of its name before the version.
/// The binaries are in `bin` below it.
const VERSIONED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""), // Debian, Ubuntu
    ("/usr", "pgsql-"),          // Red Hat
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

/// A place to look, and the directories found there, best first.
pub(crate) struct Location {
    pub(crate) name: String,
    pub(crate) dirs: Vec<PathBuf>,
}

/// All locations, best first.
pub(crate) fn all() -> Vec<Location> {
    let mut locations = vec![search_path()];
    locations.extend(VERSIONED.iter().map(|(parent, prefix)| {
        Location {
            name: format!("{parent}/{prefix}*/bin"),
            dirs: versions(Path::new(parent), prefix)
                .into_iter()
                .map(|dir| dir.join("bin"))
                .collect(),
        }
    }));
    locations.push(pg_config());
    locations
}

/// Directories of the `PATH` without Postgres are left out: they are not worth listing.
fn search_path() -> Location {
    let path = env::var_os("PATH").unwrap_or_default();
    Location {
        name: "PATH".to_owned(),
        dirs: env::split_paths(&path)
            .filter(|dir| dir.join("postgres").is_file())
            .collect(),
    }
}

fn pg_config() -> Location {
    let answer = Command::new("pg_config").arg("--bindir").output();
    let output = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    let dir = output.ok().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Location {
        name: "pg_config --bindir".to_owned(),
        dirs: dir.into_iter().collect(),
    }
}

/// The directories named `prefix` and a version, highest version first.
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
    fn the_highest_version_comes_first_and_versions_are_compared_as_numbers() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pg-9", "pg-17", "pg-16", "pg-latest", "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let names = ["pg-17", "pg-16", "pg-9"].map(|name| parent.path().join(name));
        assert_eq!(versions(parent.path(), "pg-"), names);
    }
}
