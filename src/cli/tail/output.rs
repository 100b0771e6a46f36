//! Where the lines go, and the cursor behind them.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sse_client::{CursorFile, ServerEvent};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::line::{LineFormat, line};
use crate::platform::Clock;

/// How often a pipe is looked at whose reader may have gone.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a line may take to be written after a signal.
const LAST_WRITE: Duration = Duration::from_secs(1);

pub(super) struct TailOutput {
    pub(super) format: LineFormat,
    pub(super) clock: Clock,
    pub(super) cursor_file: Option<CursorFile>,
    /// How many events may still come.
    pub(super) limit: Option<u64>,
    pub(super) stopped: CancellationToken,
}

/// Whether to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Printed {
    All,
    /// The limit is reached, nobody reads, or a signal came.
    Last,
}

impl TailOutput {
    /// Prints events. The cursor is stored when they are printed: `head` if all were.
    pub(super) async fn print(
        &mut self,
        events: &[ServerEvent],
        head: &str,
    ) -> Result<Printed, String> {
        let (count, is_last) = self.take(events);
        let now = self.clock.now();
        let lines = events[..count]
            .iter()
            .map(|event| line(self.format, event, now));
        let text: String = lines.collect();
        let cursor = if count < events.len() {
            &events[count - 1].id
        } else {
            head
        };
        if !text.is_empty() && !self.write(text).await? {
            return Ok(Printed::Last);
        }
        if let Some(file) = &mut self.cursor_file {
            let saved = file.save(cursor);
            saved.map_err(|error| format!("the cursor file cannot be written: {error}"))?;
        }
        Ok(if is_last { Printed::Last } else { Printed::All })
    }

    /// How many of the events are to be printed, and whether the last of them is the last at all.
    fn take(&mut self, events: &[ServerEvent]) -> (usize, bool) {
        let Some(left) = &mut self.limit else {
            return (events.len(), false);
        };
        for (at, event) in events.iter().enumerate() {
            *left -= u64::from(!is_of_stream(&event.name));
            if *left == 0 {
                return (at + 1, true);
            }
        }
        (events.len(), false)
    }

    /// Returns whether the text was written. A pipe that nobody reads must not block the end.
    async fn write(&self, text: String) -> Result<bool, String> {
        let writing = spawn_blocking(move || {
            let mut output = std::io::stdout().lock();
            output.write_all(text.as_bytes())?;
            output.flush()
        });
        let stopped = async {
            self.stopped.cancelled().await;
            sleep(LAST_WRITE).await;
        };
        let written = tokio::select! {
            written = writing => written.map_err(|error| error.to_string())?,
            () = stopped => return Ok(false),
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(format!("the output cannot be written: {error}")),
        }
    }
}

/// What every stream begins with, or says about itself.
fn is_of_stream(name: &str) -> bool {
    name.starts_with("stream:") || matches!(name, "presence:snapshot" | "locks:snapshot")
}

/// Ends when standard output is a pipe whose reader has gone, also when there is nothing to write.
pub(super) async fn nobody_reads() {
    while !is_closed() {
        sleep(LOOK_EVERY).await;
    }
}

fn is_closed() -> bool {
    let output = std::io::stdout();
    let mut polled = [PollFd::new(output.as_fd(), PollFlags::empty())];
    // An error of `poll` says nothing about the pipe.
    let _ = poll(&mut polled, PollTimeout::ZERO);
    let said = polled[0].revents().unwrap_or(PollFlags::empty());
    said.contains(PollFlags::POLLERR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_what_happened_and_not_what_a_stream_begins_with() {
        for (name, counts) in [
            ("stream:ready", false),
            ("presence:snapshot", false),
            ("locks:snapshot", false),
            ("listing:sold", true),
            ("user:typing", true),
        ] {
            assert_eq!(!is_of_stream(name), counts, "{name}");
        }
    }
}
