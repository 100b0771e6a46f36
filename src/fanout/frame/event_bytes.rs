//! The bytes of one event in each encoding. Each is a chunk of HTTP/1.1, which contains the bytes without
//! HTTP as a part.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use super::{StreamEncoding, chunks};
use crate::fanout::gzip;
use crate::fanout::memory::{LateBytes, allocated, buffer};
use crate::log::{Cursor, Event, EventJson};

/// The lines of an event before `data:` and its JSON.
const NAME: &[u8] = b"event: ";
const DATA: &[u8] = b"data: ";

/// What an event's JSON has beside its content, most often.
const ENVELOPE_BYTES: usize = 384;

pub(super) struct EventBytes {
    named: Bytes,
    others: OnceLock<Box<OtherEncodings>>,
}

/// Each is made when the first stream asks for it. Most events need none.
#[derive(Default)]
struct OtherEncodings {
    /// Without the `event:` line.
    unnamed: OnceLock<Bytes>,
    compressed: [OnceLock<Bytes>; 2],
}

/// The parts of an event's text.
struct EventText<'a> {
    event_type: &'a [u8],
    json: &'a [u8],
    /// Everything after the JSON's line.
    end: &'a [u8],
}

/// Without the text, which may be private.
impl fmt::Debug for EventBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.named.len())
    }
}

impl EventBytes {
    /// The id comes last: a client whose connection breaks inside an event must not have its id
    /// yet. An event that is not logged has no id.
    pub(super) fn of(event: &Event, id: Option<&Cursor>) -> Self {
        // Of the right size at once: text that grows leaves free blocks of many sizes behind.
        let mut json = Vec::with_capacity(event.body.content_bytes() + ENVELOPE_BYTES);
        let _ = serde_json::to_writer(&mut json, &EventJson::of(event));
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        Self::encode(&EventText {
            event_type: event.body.event_type.as_str().as_bytes(),
            json: &json,
            end: &[id.as_bytes(), b"\n"].concat(),
        })
    }

    /// The same event with other JSON.
    pub(super) fn with_json(&self, json: &str) -> Self {
        Self::encode(&EventText {
            json: json.as_bytes(),
            ..self.text()
        })
    }

    fn encode(text: &EventText<'_>) -> Self {
        let EventText {
            event_type,
            json,
            end,
        } = text;
        let parts = [NAME, event_type, b"\n", DATA, json, b"\n", end];
        Self {
            named: chunks::chunk(&parts),
            others: OnceLock::new(),
        }
    }

    fn text(&self) -> EventText<'_> {
        let text = chunks::content_of(&self.named);
        let (name, text) = line(text);
        let (data, end) = line(text);
        EventText {
            event_type: name.strip_prefix(NAME).unwrap_or_default(),
            json: data.strip_prefix(DATA).unwrap_or_default(),
            end,
        }
    }

    pub(super) fn event_type(&self) -> &str {
        std::str::from_utf8(self.text().event_type).unwrap_or_default()
    }

    pub(super) fn json(&self) -> &str {
        std::str::from_utf8(self.text().json).unwrap_or_default()
    }

    /// The chunk of an encoding. `late` counts it if it is made now.
    pub(super) fn chunk(&self, encoding: StreamEncoding, late: Option<&LateBytes>) -> &Bytes {
        if encoding.named && !encoding.gzip {
            return &self.named;
        }
        let others = self.others.get_or_init(|| {
            count(late, allocated(size_of::<OtherEncodings>()));
            Box::default()
        });
        let whole = chunks::content_of(&self.named);
        let plain = if encoding.named { whole } else { line(whole).1 };
        let made = |content: &[u8]| {
            let chunk = chunks::chunk(&[content]);
            count(late, buffer(chunk.len()));
            chunk
        };
        if encoding.gzip {
            let compressed = &others.compressed[usize::from(encoding.named)];
            compressed.get_or_init(|| made(&gzip::deflated(plain)))
        } else {
            others.unnamed.get_or_init(|| made(plain))
        }
    }

    /// The memory that it takes without encodings that are made later, besides the struct itself.
    pub(super) fn size(&self) -> usize {
        buffer(self.named.len())
    }

    /// The memory of encodings that were made later.
    pub(super) fn late_size(&self) -> usize {
        let Some(others) = self.others.get() else {
            return 0;
        };
        let all = others.compressed.iter().chain([&others.unnamed]);
        let bytes = all.filter_map(OnceLock::get).map(Bytes::len);
        allocated(size_of::<OtherEncodings>()) + bytes.map(buffer).sum::<usize>()
    }
}

pub(super) fn count(late: Option<&LateBytes>, bytes: usize) {
    if let Some(late) = late {
        late.add(bytes);
    }
}

/// The first line without its end, and what comes after it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}
