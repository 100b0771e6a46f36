//! A timer that is not rounded to milliseconds. One of tokio's is up to two milliseconds late, which is as long as the
//! pauses between commits.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Longer waits use a timer of tokio.
const MOST_EXACT: Duration = Duration::from_millis(50);

/// Waits for moments, one after the other. The first short wait opens a file descriptor.
#[derive(Debug, Default)]
pub struct ExactTimer {
    #[cfg(target_os = "linux")]
    alarm: Option<linux::Alarm>,
}

impl ExactTimer {
    /// Waits until `at`. Where there is no exact timer, it is one of tokio's.
    pub async fn sleep_until(&mut self, at: Instant) {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > MOST_EXACT || self.sleep(left).await.is_err() {
            sleep_until(at).await;
        }
    }

    #[cfg(target_os = "linux")]
    async fn sleep(&mut self, left: Duration) -> std::io::Result<()> {
        let alarm = match self.alarm.take() {
            Some(alarm) => alarm,
            None => linux::Alarm::new()?,
        };
        self.alarm.insert(alarm).ring_after(left).await
    }

    #[cfg(not(target_os = "linux"))]
    async fn sleep(&mut self, _left: Duration) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::net::unix::pipe::Receiver;

    #[derive(Debug)]
    pub(super) struct Alarm {
        timer: TimerFd,
        /// The same timer. It is read like a pipe: eight bytes once it has gone off.
        rings: Receiver,
    }

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            let rings = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
            Ok(Self { timer, rings })
        }

        /// A wait that was dropped leaves the alarm set; the next one sets it anew.
        pub(super) async fn ring_after(&self, wait: Duration) -> io::Result<()> {
            let once = Expiration::OneShot(wait.into());
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            loop {
                self.rings.readable().await?;
                match self.rings.try_read(&mut [0; 8]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    rung => return rung.map(drop),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_wait_ends_early_not_even_after_one_that_was_dropped() {
        let (mut timer, mut other) = (ExactTimer::default(), ExactTimer::default());
        for ms in [3, 1, 60] {
            let dropped = timer.sleep_until(Instant::now() + Duration::from_millis(20));
            assert!(dropped.now_or_never().is_none());
            // Then the alarm of the dropped wait has gone off.
            other
                .sleep_until(Instant::now() + Duration::from_millis(21))
                .await;
            let at = Instant::now() + Duration::from_millis(ms);
            timer.sleep_until(at).await;
            assert!(Instant::now() >= at, "{ms} ms");
        }
    }

    #[tokio::test]
    async fn a_moment_that_has_passed_takes_no_time() {
        let passed = Instant::now();
        let mut timer = ExactTimer::default();
        assert!(timer.sleep_until(passed).now_or_never().is_some());
    }
}
