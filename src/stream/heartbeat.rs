//! How often a quiet stream shows that it is alive.

use std::time::Duration;

use super::StreamSettings;

/// The longest interval that can be configured.
pub const MOST_SECONDS: u16 = 300;

/// The time between the heartbeats of a stream. A stream has two bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatInterval {
    seconds: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of seconds from 1 to {MOST_SECONDS}")]
pub struct InvalidHeartbeat;

impl HeartbeatInterval {
    /// What a client asks for with `heartbeat`, within the limits of the service. Without it, the
    /// longest.
    pub fn parse(text: Option<&str>, settings: &StreamSettings) -> Result<Self, InvalidHeartbeat> {
        let longest = settings.heartbeat_seconds;
        let shortest = settings.heartbeat_min_seconds.min(longest);
        let seconds = match text {
            None => longest,
            Some(text) => seconds(text)
                .ok_or(InvalidHeartbeat)?
                .clamp(shortest, longest),
        };
        Ok(Self { seconds })
    }

    #[cfg(test)]
    pub(crate) fn of_seconds(seconds: u16) -> Self {
        Self { seconds }
    }

    #[must_use]
    pub fn seconds(self) -> u16 {
        self.seconds
    }

    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// When the next heartbeat is due after events: between half of the interval and all of it.
    /// Streams that got the same event have different phases, so that their heartbeats spread out.
    #[must_use]
    pub fn after_events(self, phase: u8) -> Duration {
        self.duration() * (512 - u32::from(phase)) / 512
    }
}

fn seconds(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number)?;
    (1..=MOST_SECONDS).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        streams: StreamSettings,
    }

    fn settings(seconds: &str, min_seconds: &str) -> StreamSettings {
        let flags = ["--heartbeat-seconds", seconds];
        let more = ["--heartbeat-min-seconds", min_seconds];
        let all = ["porchlight"].into_iter().chain(flags).chain(more);
        Settings::parse_from(all).streams
    }

    #[test]
    fn a_client_gets_what_it_asks_for_within_the_limits_of_the_service() {
        let usual = settings("15", "5");
        let slow = settings("60", "5");
        let fast = settings("2", "5");
        for (settings, asked, seconds) in [
            (&usual, None, 15),
            (&usual, Some("8"), 8),
            (&usual, Some("1"), 5),
            (&usual, Some("300"), 15),
            (&slow, Some("15"), 15),
            (&slow, None, 60),
            (&fast, Some("8"), 2),
            (&fast, None, 2),
        ] {
            let interval = HeartbeatInterval::parse(asked, settings).unwrap();
            assert_eq!(interval.seconds(), seconds, "{asked:?}");
        }
    }

    #[test]
    fn what_is_no_number_of_seconds_is_refused() {
        let usual = settings("15", "5");
        for bad in ["", "0", "301", "-5", "+5", "5s", "1.5", "99999999999"] {
            let parsed = HeartbeatInterval::parse(Some(bad), &usual);
            assert_eq!(parsed, Err(InvalidHeartbeat), "{bad:?}");
        }
    }

    #[test]
    fn heartbeats_after_the_same_event_spread_over_half_of_the_interval() {
        let interval = HeartbeatInterval::parse(None, &settings("16", "5")).unwrap();
        let after = |phase| interval.after_events(phase).as_millis();
        assert_eq!((after(0), after(128), after(255)), (16_000, 12_000, 8_031));
    }
}
