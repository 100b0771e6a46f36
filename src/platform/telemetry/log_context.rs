//! What the log lines of a request or a background task tell of it.
//!
//! Every request has a context, and few have a log line: the context is written with a line. A span of `tracing` has its
//! fields written when it begins, and costs something whenever its task goes on.

use std::fmt::{self, Debug, Display, Write};
use std::sync::Arc;

use tokio::task::futures::TaskLocalFuture;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
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

/// How a context is added to a line.
#[derive(Clone, Copy)]
pub(super) enum ContextStyle {
    /// At the end of the text.
    Text,
    /// As the field `span` of the object that the line is.
    Json,
}

/// Lines in another format, with the current context.
pub(super) struct WithContext<F> {
    pub(super) format: F,
    pub(super) style: ContextStyle,
}

impl<S, N, F> FormatEvent<S, N> for WithContext<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        formatting: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format
            .format_event(formatting, Writer::new(&mut line), event)?;
        let context = CURRENT.try_with(Arc::clone);
        if let Ok(context) = context {
            line.truncate(line.trim_end().len());
            match self.style {
                ContextStyle::Text => add_text(&mut line, &*context)?,
                ContextStyle::Json => add_json(&mut line, &*context)?,
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
    use tracing_subscriber::fmt::{MakeWriter, format};

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
    fn written(
        format: impl FormatEvent<tracing_subscriber::Registry, format::DefaultFields>
        + Send
        + Sync
        + 'static,
        id: &'static str,
    ) -> Vec<String> {
        let lines = Lines::default();
        let logs = tracing_subscriber::fmt().with_writer(lines.clone());
        let subscriber = logs.event_format(format).finish();
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
        let format = format().json().flatten_event(true);
        let style = ContextStyle::Json;
        let lines = written(WithContext { format, style }, id);
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
        let format = format().compact().with_ansi(false);
        let style = ContextStyle::Text;
        let lines = written(WithContext { format, style }, "r-1");
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
