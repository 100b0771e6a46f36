//! Release builds are optimized for a recorded profile: `.cargo/rustc` gives it to the compiler.

use std::process::Command;

use super::revisions::sha256;

/// Cargo passes these, among others, for a library in a release build.
const LIBRARY: [&str; 4] = ["-C", "opt-level=3", "-C", "linker-plugin-lto"];
const PROGRAM: [&str; 4] = ["-C", "opt-level=3", "-C", "lto=fat"];
const QUICK: [&str; 4] = ["-C", "opt-level=1", "-C", "lto=off"];
const DEBUG: [&str; 2] = ["-C", "embed-bitcode=no"];

/// Runs a compiler as cargo does.
fn cargo_runs(compiler: &str) -> Command {
    let wrapper = concat!(env!("CARGO_MANIFEST_DIR"), "/.cargo/rustc");
    let mut command = Command::new(wrapper);
    command
        .arg(compiler)
        .env_remove("PORCHLIGHT_RECORD_PROFILE");
    command
}

/// What the compiler gets instead of these.
fn passed_on(arguments: &[&str]) -> String {
    let mut echo = cargo_runs("echo");
    let output = echo.args(arguments).output().expect("the wrapper runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn release_builds_and_no_others_get_the_profile() {
    for arguments in [LIBRARY, PROGRAM] {
        let expected = format!("{} -C profile-use=", arguments.join(" "));
        let passed_on = passed_on(&arguments);
        assert!(passed_on.starts_with(&expected), "{passed_on}");
        let splits = passed_on.contains("-enable-split-machine-functions");
        let is_tried = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        assert_eq!(splits, is_tried, "{passed_on}");
    }
    for arguments in [&QUICK[..], &DEBUG, &["-vV"]] {
        assert_eq!(passed_on(arguments), arguments.join(" "));
    }
}

#[test]
fn our_own_functions_keep_their_names_when_a_dependency_is_updated() {
    let names = |of: &str, metadata: &str, build: &[&str]| {
        let metadata = format!("metadata={metadata}");
        let crate_arguments = ["--crate-name", of, "a b.rs", "-C", metadata.as_str()];
        passed_on(&[&crate_arguments[..], build].concat())
    };
    for build in [LIBRARY, PROGRAM] {
        let before = names("porchlight", "1", &build);
        assert!(before.starts_with("--crate-name porchlight a b.rs -C metadata="));
        assert_eq!(before, names("porchlight", "2", &build));
        assert_ne!(names("tokio", "1", &build), names("tokio", "2", &build));
    }
    assert!(names("porchlight", "1", &QUICK).contains("metadata=1 "));
}

#[test]
fn the_compiler_can_read_the_profile() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("lib.rs"), "pub fn f() {}").expect("a file");
    let mut rustc = cargo_runs("rustc");
    rustc
        .args(["--crate-type=lib", "--emit=obj", "lib.rs"])
        .args(LIBRARY);
    let output = rustc.current_dir(&directory).output().expect("rustc runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && message.is_empty(), "{message}");
}

#[test]
fn cargo_compiles_again_what_was_compiled_with_another_profile() {
    let file = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(".cargo")
            .join(name)
    };
    let profile = std::fs::read(file("release.profdata")).expect("the profile");
    let config = std::fs::read_to_string(file("config.toml")).expect("the settings of cargo");
    let flag = format!("cfg(profile_{})", &sha256(profile)[..12]);
    assert!(config.contains(&flag), "not in .cargo/config.toml: {flag}");
}
