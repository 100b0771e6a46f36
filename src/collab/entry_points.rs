//! Pages of locks, and signals of other instances.

use tokio::time::Instant;

use super::locks::entry_point;
use super::signals::{name::SignalNames, peer_signal};
use crate::platform::entry_point::{EntryPoint, with_text};

pub const ENTRY_POINTS: [EntryPoint; 2] = [
    entry_point::CURSOR,
    EntryPoint {
        name: "signal",
        read: |bytes| with_text(bytes, signal),
    },
];

fn signal(text: &str) {
    let _ = peer_signal::decode(text, Instant::now());
    let _ = text.parse::<SignalNames>();
}
