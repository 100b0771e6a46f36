//! Pages of locks.

use super::list::PageCursor;
use crate::platform::entry_point::{EntryPoint, with_text};

pub const CURSOR: EntryPoint = EntryPoint {
    name: "lock_cursor",
    read: |bytes| with_text(bytes, cursor),
};

fn cursor(text: &str) {
    if let Ok(cursor) = text.parse::<PageCursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
