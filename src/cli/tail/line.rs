//! An event as a line of text.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sse_client::ServerEvent;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// What people see of an event's fields.
const PAYLOAD_CHARS: usize = 200;
/// An event that comes later than this has been replayed, or something is slow.
const LATE: Duration = Duration::SECOND;

const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    Plain,
    Coloured,
    Json,
}

/// The fields of an event that a line shows.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct TailedEvent<'a> {
    #[serde(borrow)]
    module: Option<Cow<'a, str>>,
    record_id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
    changes: Option<&'a RawValue>,
}

impl TailedEvent<'_> {
    /// When the event was committed. States and signals do not say it.
    fn committed_at(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.timestamp.as_deref()?, &Rfc3339).ok()
    }
}

/// The line of an event that has arrived `now`, with its line end.
pub(super) fn line(format: LineFormat, event: &ServerEvent, now: OffsetDateTime) -> String {
    let parsed: TailedEvent<'_> = serde_json::from_str(&event.data).unwrap_or_default();
    let delay = parsed.committed_at().map(|at| now - at);
    match format {
        LineFormat::Json => json(event, delay),
        LineFormat::Plain | LineFormat::Coloured => {
            let paint = LinePaint(format == LineFormat::Coloured);
            let at = parsed.committed_at().unwrap_or(now);
            let mut line = paint.text(DIM, &clock(at, now));
            let shown = delay.map(readable).unwrap_or_default();
            let _ = write!(
                line,
                " {}",
                paint.text(urgency(delay), &format!("{shown:>8}"))
            );
            let name = printable(&event.name);
            let _ = write!(
                line,
                "  {}",
                paint.text(colour_of(&name), &format!("{name:<22}"))
            );
            if let Some(module) = &parsed.module {
                let record = parsed.record_id.as_deref().unwrap_or_default();
                let _ = write!(line, "  {}/{}", printable(module), printable(record));
            }
            if let Some(user) = &parsed.user_id {
                let _ = write!(
                    line,
                    "  {}",
                    paint.text(DIM, &format!("by {}", printable(user)))
                );
            }
            let payload = parsed.data.or(parsed.changes).map(RawValue::get);
            // A control event or a snapshot has fields of its own.
            let payload = payload.or_else(|| parsed.timestamp.is_none().then_some(&event.data[..]));
            if let Some(payload) = payload {
                let _ = write!(line, "  {}", shortened(&printable(payload)));
            }
            let _ = writeln!(line, "  {}", paint.text(DIM, &printable(&event.id)));
            line
        }
    }
}

/// An event as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventLine<'a> {
    id: &'a str,
    r#type: &'a str,
    /// Milliseconds from the commit to the arrival, by the clocks of both machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<i128>,
    data: LinePayload<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LinePayload<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

fn json(event: &ServerEvent, delay: Option<Duration>) -> String {
    let raw = serde_json::from_str(&event.data).ok();
    // A line of output must have no line end inside.
    let raw = raw.filter(|_| !event.data.contains(['\n', '\r']));
    let line = EventLine {
        id: &event.id,
        r#type: &event.name,
        delay_ms: delay.map(Duration::whole_milliseconds),
        data: raw.map_or(LinePayload::Text(&event.data), LinePayload::Json),
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// A clock time, with the day if that is another one. All times are UTC.
fn clock(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let time = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    let day = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let shown = if at.date() == now.date() {
        at.format(time)
    } else {
        at.format(day)
    };
    shown.unwrap_or_default()
}

/// A delay in one unit.
fn readable(delay: Duration) -> String {
    let seconds = delay.as_seconds_f64();
    match seconds.abs() {
        ..1.0 => format!("{} ms", delay.whole_milliseconds()),
        ..60.0 => format!("{seconds:.1} s"),
        ..3_600.0 => format!("{} min", delay.whole_minutes()),
        ..172_800.0 => format!("{} h", delay.whole_hours()),
        _ => format!("{} d", delay.whole_days()),
    }
}

fn urgency(delay: Option<Duration>) -> &'static str {
    match delay {
        Some(delay) if delay < LATE => GREEN,
        Some(_) => YELLOW,
        None => DIM,
    }
}

fn colour_of(name: &str) -> &'static str {
    match name {
        "stream:reset" => RED,
        _ if name.starts_with("stream:") => DIM,
        _ => CYAN,
    }
}

struct LinePaint(bool);

impl LinePaint {
    fn text(&self, colour: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The text without characters that change a terminal. Events come from many hands.
fn printable(text: &str) -> Cow<'_, str> {
    // Directions of text can make a line look like another one.
    let is_harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let replaced = |c: char| {
        if is_harmless(c) {
            c
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    Cow::Owned(text.chars().map(replaced).collect())
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PAYLOAD_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-21 12:00:00.112 UTC);

    fn event(name: &str, data: &str) -> ServerEvent {
        ServerEvent {
            name: name.to_owned(),
            data: data.to_owned(),
            id: "1042-k7q2mw".to_owned(),
        }
    }

    fn sold() -> ServerEvent {
        event(
            "listing:sold",
            r#"{"type":"listing:sold","module":"listings","recordId":"l-1","data":{"price":395000},"userId":"crm","timestamp":"2026-11-21T12:00:00.100Z"}"#,
        )
    }

    #[test]
    fn people_read_when_what_who_and_how_late() {
        assert_eq!(
            line(LineFormat::Plain, &sold(), NOW),
            "12:00:00.100    12 ms  listing:sold            listings/l-1  by crm  {\"price\":395000}  1042-k7q2mw\n"
        );
        let coloured = line(LineFormat::Coloured, &sold(), NOW);
        assert!(coloured.contains("\x1b[32m   12 ms\x1b[0m"), "{coloured}");
        let old = line(LineFormat::Plain, &sold(), NOW + Duration::days(9));
        assert!(old.starts_with("2026-11-21 12:00:00      9 d  "), "{old}");
        let other = line(
            LineFormat::Plain,
            &event("presence:count", r#"{"online":7}"#),
            NOW,
        );
        assert_eq!(
            other,
            "12:00:00.112           presence:count          {\"online\":7}  1042-k7q2mw\n"
        );
    }

    #[test]
    fn scripts_read_one_object_a_line() {
        let shown: serde_json::Value =
            serde_json::from_str(&line(LineFormat::Json, &sold(), NOW)).unwrap();
        assert_eq!(
            (&shown["id"], &shown["type"]),
            (&"1042-k7q2mw".into(), &"listing:sold".into())
        );
        assert_eq!(
            (&shown["delayMs"], &shown["data"]["recordId"]),
            (&12.into(), &"l-1".into())
        );
        for text in ["no json", "{\"a\":\n1}", ""] {
            let shown = line(LineFormat::Json, &event("message", text), NOW);
            assert_eq!(shown.lines().count(), 1, "{shown}");
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(shown["data"], text);
        }
    }

    #[test]
    fn no_event_changes_the_terminal_or_adds_a_line() {
        let hostile = "\u{1b}[2J\u{9b}31m\r\n\u{202e}\u{7}";
        let data = serde_json::json!({"module": hostile, "recordId": hostile, "userId": hostile, "data": {"\u{9b}": "\u{202e}"}});
        let mut event = event(hostile, &data.to_string());
        event.id = hostile.to_owned();
        for format in [LineFormat::Plain, LineFormat::Json] {
            let shown = line(format, &event, NOW);
            assert_eq!(shown.matches(['\n', '\r']).count(), 1, "{shown:?}");
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
        let plain = line(LineFormat::Plain, &event, NOW);
        assert!(!plain.contains(['\u{9b}', '\u{202e}']), "{plain:?}");
        let long = line(
            LineFormat::Plain,
            &super::tests::event("a", &format!("\"{}\"", "é".repeat(300))),
            NOW,
        );
        assert!(long.contains('…') && long.chars().count() < 300, "{long}");
    }
}
