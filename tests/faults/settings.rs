//! What a run is to be, from the environment. `scripts/faults` sets it from its arguments.

use std::path::PathBuf;
use std::time::Duration;

const SEED: &str = "PORCHLIGHT_FAULTS_SEED";
const SECONDS: &str = "PORCHLIGHT_FAULTS_SECONDS";
const INSTANCES: &str = "PORCHLIGHT_FAULTS_INSTANCES";
const HISTORY: &str = "PORCHLIGHT_FAULTS_HISTORY";
const ONLY: &str = "PORCHLIGHT_FAULTS_ONLY";
const PROGRAM: &str = "PORCHLIGHT_BIN";

#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub time: Duration,
    pub instances: usize,
    pub history: PathBuf,
    /// Only faults whose names contain this.
    pub only: Option<String>,
    /// The service, if it is not the one that was built with this.
    pub program: String,
}

impl Settings {
    pub fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse::<u64>()
                    .unwrap_or_else(|_| panic!("{name}: {text}")),
            )
        };
        let instances = number(INSTANCES).unwrap_or(3);
        Self {
            seed: number(SEED).unwrap_or_else(rand::random),
            time: Duration::from_secs(number(SECONDS).unwrap_or(60)),
            instances: usize::try_from(instances).expect("a small number"),
            history: history_file(),
            only: std::env::var(ONLY).ok(),
            program: std::env::var(PROGRAM)
                .unwrap_or_else(|_| env!("CARGO_BIN_EXE_porchlight").to_owned()),
        }
    }
}

/// Where the history is written to, and read from.
pub fn history_file() -> PathBuf {
    let file = std::env::var_os(HISTORY).map(PathBuf::from);
    file.unwrap_or_else(|| std::env::temp_dir().join("porchlight-faults.jsonl"))
}
