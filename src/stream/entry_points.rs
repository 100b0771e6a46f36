//! The parameters of streams.

use super::{Filter, Since, StreamPace};
use crate::platform::entry_point::{EntryPoint, with_text};

pub const ENTRY_POINTS: [EntryPoint; 2] = [
    EntryPoint {
        name: "since",
        read: |bytes| with_text(bytes, since),
    },
    EntryPoint {
        name: "filter",
        read: |bytes| with_text(bytes, filter),
    },
];

fn since(text: &str) {
    if let Ok(Since::Last(count)) = text.parse() {
        assert!((1..=super::resume::MOST_RECENT).contains(&count));
    }
    let (batch, coalesce) = text.split_once('&').unwrap_or((text, "fields"));
    if let Ok(pace) = StreamPace::parse(Some(batch), Some(coalesce)) {
        assert!(!pace.is_immediate(), "{text}");
    }
}

/// A filter keeps what it names, and its patterns for SQL have no open escape.
fn filter(text: &str) {
    let (types, records) = text.split_once('&').unwrap_or((text, ""));
    let Ok(filter) = Filter::parse(Some(types), Some(records)) else {
        return;
    };
    let names = types.split(',').map(str::trim);
    for name in names.filter(|name| !name.is_empty()) {
        assert!(filter.passes_type(name.trim_end_matches('*')), "{name}");
    }
    for pattern in filter.like_patterns().into_iter().flatten() {
        let escapes = pattern.chars().rev().take_while(|c| *c == '\\').count();
        assert!(escapes % 2 == 0, "{pattern}");
    }
}
