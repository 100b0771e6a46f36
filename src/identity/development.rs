//! The secret of a service without a configured one, on a loopback address.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;

use super::error::IdentityError;
use super::settings::Secret;

const FILE: &str = "development.secret";
const SECRET_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;

/// The development secret in `data_dir`, which is created if there is none. Processes that call this
/// at the same time get the same one.
pub fn development_secret(data_dir: &Path) -> Result<Secret, IdentityError> {
    let path = data_dir.join(FILE);
    read_or_create(&path).map_err(|source| IdentityError::DevelopmentSecret { path, source })
}

fn read_or_create(path: &Path) -> io::Result<Secret> {
    match read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            create(path)?;
            read(path)
        }
        read => read,
    }
}

fn read(path: &Path) -> io::Result<Secret> {
    let secret = fs::read_to_string(path)?;
    let secret = secret.trim();
    if secret.len() < SECRET_BYTES {
        let damaged = "is damaged; delete it, and a new one is created";
        return Err(io::Error::new(ErrorKind::InvalidData, damaged));
    }
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
    }
    Ok(Secret::new(secret))
}

/// Writes the file under a temporary name, and links it to its own name. Unlike a rename, a link
/// never replaces the file of another process.
fn create(path: &Path) -> io::Result<()> {
    let temporary = path.with_extension(format!("secret.{}", random_hex(8)?));
    let linked = write(&temporary).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(path)?;
    writeln!(file, "{}", random_hex(SECRET_BYTES)?)?;
    file.sync_all()
}

/// Secrets use the randomness of the operating system.
pub fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    SysRng
        .try_fill_bytes(&mut random)
        .map_err(io::Error::other)?;
    Ok(random.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_created_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = development_secret(dir.path()).unwrap();
        let again = development_secret(dir.path()).unwrap();
        assert_eq!(first.reveal(), again.reveal());
        assert_eq!(first.reveal().len(), 2 * SECRET_BYTES);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, OWNER_ONLY);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn processes_that_start_at_the_same_time_get_the_same_secret() {
        let dir = tempfile::tempdir().unwrap();
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let ask = || development_secret(dir.path()).unwrap().reveal().to_owned();
            let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn a_damaged_secret_is_refused_and_wrong_permissions_are_corrected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "short").unwrap();
        let error = development_secret(dir.path()).unwrap_err().to_string();
        assert!(error.contains("damaged") && !error.contains("short"));
        fs::write(&path, "a".repeat(64)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        development_secret(dir.path()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            OWNER_ONLY
        );
    }

    #[test]
    fn the_error_of_a_missing_directory_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = development_secret(&dir.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent/development.secret"));
    }
}
