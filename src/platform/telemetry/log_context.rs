//! What the log lines of a request or a background task tell of it.
//!
//! Every request has a context, and few have a log line: the context is written with a line. A span of `tracing` has its
//! fields written when it begins, and costs something whenever its task goes on.

use std::fmt::{self, Debug, Display, Write};
use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// A request or a background task.
pub trait LogContext: Debug + Send + Sync {
    /// Which of them it is.
    fn name(&self) -> &'static str;
    /// Passes on the name and the value of each field.
    fn fields(&self, put: &mut dyn FnMut(&str, &dyn Display));
    /// The route of the request is known now.
    fn found_route(&self, _route: &'static str) {}
}

tokio::task_local! {
    static CURRENT: Arc<dyn LogContext>;
}

/// Runs `work`. Its log lines have this context.
pub fn within<F: Future>(
    context: Arc<dyn LogContext>,
    work: F,
) -> TaskLocalFuture<Arc<dyn LogContext>, F> {
    CURRENT.scope(context, work)
}

/// Tells the current request its route.
pub fn found_route(route: &'static str) {
    let _ = CURRENT.try_with(|context| context.found_route(route));
}

/// Lines of `tracing_subscriber`, with the current context.
pub(super) enum LogLineFormat {
    /// For people.
    Text {
        plain: Format<Compact>,
        colored: Format<Compact>,
    },
    /// An object, which has the context as its field `span`.
    Json(Format<Json>),
}

impl LogLineFormat {
    pub(super) fn text() -> Self {
        let format = format().compact().with_target(false);
        Self::Text {
            plain: format.clone().with_ansi(false),
            colored: format.with_ansi(true),
        }
    }

    pub(super) fn json() -> Self {
        let format = format().json().flatten_event(true);
        Self::Json(format.with_current_span(false).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for LogLineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        formatting: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        let to = Writer::new(&mut line);
        match self {
            Self::Text { colored, .. } if out.has_ansi_escapes() => {
                colored.format_event(formatting, to, event)
            }
            Self::Text { plain, .. } => plain.format_event(formatting, to, event),
            Self::Json(json) => json.format_event(formatting, to, event),
        }?;
        if let Ok(context) = CURRENT.try_with(Arc::clone) {
            line.truncate(line.trim_end().len());
            match self {
                Self::Text { .. } => add_text(&mut line, &*context)?,
                Self::Json(_) => add_json(&mut line, &*context)?,
            }
        }
        out.write_str(&line)
    }
}

fn add_text(line: &mut String, context: &dyn LogContext) -> fmt::Result {
    write!(line, " ({}", context.name())?;
    context.fields(&mut |name, value| line.extend([" ", name, "=", &value.to_string()]));
    line.push_str(")\n");
    Ok(())
}

fn add_json(line: &mut String, context: &dyn LogContext) -> fmt::Result {
    if line.pop() != Some('}') {
        return Err(fmt::Error);
    }
    write!(line, r#","span":{{"name":"{}""#, context.name())?;
    context.fields(&mut |name, value| {
        let value = serde_json::Value::from(value.to_string());
        line.extend([",\"", name, "\":", &value.to_string()]);
    });
    line.push_str("}}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, OnceLock};

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

    #[derive(Debug)]
    struct Work {
        id: &'static str,
        route: OnceLock<&'static str>,
    }

    impl LogContext for Work {
        fn name(&self) -> &'static str {
            "work"
        }

        fn fields(&self, put: &mut dyn FnMut(&str, &dyn Display)) {
            put("id", &self.id);
            if let Some(route) = self.route.get() {
                put("route", route);
            }
        }

        fn found_route(&self, route: &'static str) {
            let _ = self.route.set(route);
        }
    }

    /// The lines of: before the work, in it, after its route was found, and after it.
    fn written(format: LogLineFormat, id: &'static str) -> Vec<String> {
        let lines = Lines::default();
        let logs = tracing_subscriber::fmt().with_writer(lines.clone());
        let subscriber = logs.with_ansi(false).event_format(format).finish();
        let route = OnceLock::new();
        let work = within(Arc::new(Work { id, route }), async {
            tracing::info!(n = 1, "in it");
            found_route("/a");
            tracing::info!("later");
        });
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            futures_util::FutureExt::now_or_never(work).unwrap();
            tracing::info!("after");
        });
        let written = lines.0.lock().unwrap();
        let lines = String::from_utf8_lossy(&written);
        lines.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_of_json_have_the_context_of_their_work() {
        let id = "a \"quoted\" \\ line\nand \u{1b}[1m another: ä";
        let lines = written(LogLineFormat::json(), id);
        let spans: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["span"].take())
            .collect();
        let early = json!({ "name": "work", "id": id });
        let late = json!({ "name": "work", "id": id, "route": "/a" });
        assert_eq!(spans, [Value::Null, early, late, Value::Null]);
    }

    #[test]
    fn lines_of_text_have_it_at_their_end() {
        let lines = written(LogLineFormat::text(), "r-1");
        let ends = [
            "before",
            "in it n=1 (work id=r-1)",
            "later (work id=r-1 route=/a)",
            "after",
        ];
        assert_eq!(lines.len(), ends.len());
        for (line, end) in lines.iter().zip(ends) {
            assert!(line.ends_with(end), "{line}");
        }
    }
}
