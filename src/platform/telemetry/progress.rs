//! Progress on a terminal: one line on standard error, which the next one overwrites. Nothing
//! is shown when standard error is not a terminal.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval};

const SHOW_EVERY: Duration = Duration::from_secs(1);

/// The length of the shown line, for overwriting it.
static SHOWN_CHARS: Mutex<usize> = Mutex::new(0);

/// Shows a line in place of the one before.
pub fn show(line: &str) {
    if io::stderr().is_terminal() {
        // It does not matter if progress cannot be shown.
        let _ = replace(&mut io::stderr(), &mut shown(), line);
    }
}

pub fn clear() {
    let _ = clear_before(&mut io::stderr(), &mut shown());
}

/// Runs `work`, and shows its name and how long it has taken.
pub async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let mut ticks = interval(SHOW_EVERY);
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => show(&format!("{what}: {} s", started.elapsed().as_secs())),
        }
    };
    clear();
    done
}

/// Standard error for logs: a log line takes the place of the progress line.
pub(super) struct LogOutput;

impl Write for LogOutput {
    /// Never fails. `tracing_subscriber` reports an error with `eprintln!`, which panics when standard error cannot be
    /// written: on a full disk, every task that logs would end, and the service with it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_line(&mut io::stderr().lock(), &mut shown(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line that cannot be written is lost.
fn write_line(out: &mut impl Write, shown_chars: &mut usize, bytes: &[u8]) {
    let cleared = clear_before(out, shown_chars);
    let _ = cleared.and_then(|()| out.write_all(bytes));
}

fn shown() -> MutexGuard<'static, usize> {
    SHOWN_CHARS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replace(out: &mut impl Write, shown_chars: &mut usize, line: &str) -> io::Result<()> {
    let chars = line.chars().count();
    let rest = shown_chars.saturating_sub(chars);
    *shown_chars = chars;
    write!(out, "\r{line}{:rest$}", "")?;
    out.flush()
}

fn clear_before(out: &mut impl Write, shown_chars: &mut usize) -> io::Result<()> {
    if *shown_chars == 0 {
        return Ok(());
    }
    replace(out, shown_chars, "")?;
    write!(out, "\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_covers_the_longer_one_before_it() {
        let (mut out, mut shown_chars) = (Vec::new(), 0);
        replace(&mut out, &mut shown_chars, "10 of 20").unwrap();
        replace(&mut out, &mut shown_chars, "done").unwrap();
        assert_eq!(out, b"\r10 of 20\rdone    ");
        assert_eq!(shown_chars, 4);
    }

    #[test]
    fn a_log_line_takes_the_place_of_the_progress_line() {
        let (mut out, mut shown_chars) = (Vec::new(), 0);
        clear_before(&mut out, &mut shown_chars).unwrap();
        assert_eq!(out, b"", "nothing is shown, so nothing is removed");
        replace(&mut out, &mut shown_chars, "abc").unwrap();
        clear_before(&mut out, &mut shown_chars).unwrap();
        assert_eq!(out, b"\rabc\r   \r");
        assert_eq!(shown_chars, 0);
    }
}
