//! Settings in a file `.env`.

use std::fs;
use std::path::Path;

use porchlight::identity::{IdentitySettings, Secret, Verifier};
use porchlight::platform::Clock;

use crate::support::cluster::open_dir;
use crate::support::command::{Ended, alone, ended};

const TOKEN: [&str; 3] = ["token", "--user=u", "--broker=b"];

/// Runs the program in a directory.
async fn run_in(directory: &Path, arguments: &[&str]) -> Ended {
    let mut command = alone(env!("CARGO_BIN_EXE_porchlight"));
    command.args(arguments).current_dir(directory);
    ended(command).await
}

/// Whether the printed token is signed with this secret.
fn is_signed(ended: &Ended, secret: &str) -> bool {
    let settings = IdentitySettings {
        secret: Some(Secret::new(secret)),
        ..IdentitySettings::default()
    };
    let verifier = Verifier::new(&settings, Clock::system()).expect("a verifier");
    verifier.verify(ended.stdout.trim()).is_ok()
}

#[tokio::test]
async fn a_secret_is_used_as_it_stands_there() {
    let directory = open_dir();
    let secret = "0123456789abcdef0123$456789ab${c}`d`ef99";
    for line in [
        format!("JWT_SECRET={secret}"),
        format!("export JWT_SECRET=\"{secret}\" # for tests"),
        format!("JWT_SECRET='{secret}'"),
    ] {
        fs::write(directory.path().join(".env"), &line).expect("a file");
        let ended = run_in(directory.path(), &TOKEN).await;
        assert!(is_signed(&ended, secret), "{line}: {ended:?}");
    }
}

#[tokio::test]
async fn a_query_in_double_quotes_is_read() {
    let directory = open_dir();
    let query = "PORCHLIGHT_BROKER_QUERY=\"select broker_id from users where id = $1\"";
    fs::write(directory.path().join(".env"), query).expect("a file");
    let ended = run_in(directory.path(), &["serve", "--help"]).await;
    let shown = "PORCHLIGHT_BROKER_QUERY=select broker_id from users where id = $1";
    let words: Vec<_> = ended.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(shown), "{ended:?}");
}

#[tokio::test]
async fn a_wrong_line_is_named_and_not_shown() {
    let directory = open_dir();
    let file = directory.path().join(".env");
    fs::write(&file, "# settings\nJWT_SECRET=hush hush\n").expect("a file");
    let ended = run_in(directory.path(), &TOKEN).await;
    let place = format!("{}, line 2: ", file.display());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&place), "{ended:?}");
    assert!(!ended.stderr.contains("hush"), "{ended:?}");
}

#[tokio::test]
async fn a_file_in_a_directory_above_is_not_read() {
    let directory = open_dir();
    let below = directory.path().join("below");
    fs::create_dir(&below).expect("a directory");
    fs::write(directory.path().join(".env"), "no variable").expect("a file");
    let ended = run_in(&below, &["--version"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_directory_that_may_not_be_searched_has_no_file() {
    let directory = open_dir();
    fs::write(directory.path().join(".env"), "no variable").expect("a file");
    // Root may search every directory, so it becomes somebody else.
    let script = "chmod 0 . && case $(id -u) in \
        0) exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" --version ;; \
        *) exec \"$0\" --version ;; esac";
    let mut command = alone("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_porchlight")]);
    command.current_dir(directory.path());
    let ended = ended(command).await;
    assert!(ended.stdout.starts_with("porchlight "), "{ended:?}");
}
