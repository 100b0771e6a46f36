//! The fields of spans as JSON, written once.
//!
//! Every request has a span, and few have a log line. `JsonFields` of `tracing_subscriber` builds a map of values for
//! each span, and parses the text again for a field that is recorded later.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Most spans of requests have less.
const USUAL_BYTES: usize = 192;

pub(super) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut text = String::with_capacity(USUAL_BYTES);
        text.push('{');
        fields.record(&mut JsonText(&mut text));
        text.push('}');
        writer.write_str(&text)
    }

    /// Adds fields at the end. Whoever reads the object takes the last value of a field.
    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let text = &mut current.fields;
        if text.pop().is_none() {
            text.push('{');
        }
        fields.record(&mut JsonText(text));
        text.push('}');
        Ok(())
    }
}

/// An object of JSON that has no end yet.
struct JsonText<'a>(&'a mut String);

impl JsonText<'_> {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.name(field);
        let _ = self.0.write_fmt(value);
    }

    fn put_text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.name(field);
        self.0.push('"');
        let _ = Escaped(self.0).write_fmt(value);
        self.0.push('"');
    }

    fn name(&mut self, field: &Field) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        let name = field.name();
        // Names of fields are identifiers, perhaps with dots.
        let _ = write!(self.0, "\"{}\":", name.strip_prefix("r#").unwrap_or(name));
    }
}

impl Visit for JsonText<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put_text(field, format_args!("{value:?}"));
    }
}

/// Writes the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            match special.as_bytes()[0] {
                b'\n' => self.0.push_str("\\n"),
                byte @ (b'"' | b'\\') => self.0.extend(['\\', char::from(byte)]),
                byte => write!(self.0, "\\u{byte:04x}")?,
            }
            rest = &special[1..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_has_all_fields_of_its_span_and_the_last_value_of_each() {
        let lines = Lines::default();
        let logs = tracing_subscriber::fmt().with_writer(lines.clone()).json();
        let logs = logs.flatten_event(true).with_span_list(false);
        let subscriber = logs.fmt_fields(SpanFields).finish();
        let text = "a \"quoted\" \\ line\nand \u{1b}[1m another: ä";
        tracing::subscriber::with_default(subscriber, || {
            let absent: Option<&str> = None;
            let span = tracing::info_span!("request", id = %text, route = "/a", n = -3, up = true,
                r#type = text, absent, late = tracing::field::Empty);
            let _entered = span.enter();
            span.record("late", 7_u64).record("route", "/b");
            tracing::info!("a message");
            let bare = tracing::info_span!("bare", late = tracing::field::Empty);
            let _entered = bare.enter();
            tracing::info!("nothing");
            bare.record("late", "x");
            tracing::info!("something");
        });
        let written = lines.0.lock().unwrap();
        let lines = String::from_utf8_lossy(&written);
        let spans: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["span"].take())
            .collect();
        let request = json!({
            "name": "request", "id": text, "route": "/b", "n": -3, "up": true, "type": text, "late": 7
        });
        let bare = json!({ "name": "bare" });
        let recorded = json!({ "name": "bare", "late": "x" });
        assert_eq!(spans, [request, bare, recorded]);
    }
}
