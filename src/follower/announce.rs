//! Telling the other instances: one NOTIFY for all commits of a moment.
//!
//! Never inside a publishing transaction, where a NOTIFY would make all commits of the
//! database stand in one line.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::database::Kept;
use crate::hints::{HintBoard, News};

/// The channel of hints.
pub const CHANNEL: &str = "porchlight";
/// Commits of this long share a notification.
const GATHER: Duration = Duration::from_millis(10);
/// Postgres takes up to 8,000 bytes.
const PAYLOAD_BYTES: usize = 7_900;

/// Announces what is pinned to `board`, signed with this instance's name.
pub async fn run(mut database: Kept, board: HintBoard, instance: String, stop: CancellationToken) {
    loop {
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = board.take() => news,
        };
        if let Err(error) = tell(&mut database, &payloads(&instance, &news)).await {
            // Only a hint: the others look by themselves before long.
            tracing::debug!(%error, "could not announce");
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn tell(database: &mut Kept, payloads: &[String]) -> sqlx::Result<()> {
    let told = sqlx::query!(
        "select pg_notify($1, p) from unnest($2::text[]) as p",
        CHANNEL,
        payloads
    )
    .execute(database.get().await?)
    .await;
    database.after(told.map(drop))
}

/// `instance`, then a line `broker head` each, in as many parts as it takes.
fn payloads(instance: &str, news: &News) -> Vec<String> {
    let mut payloads = vec![instance.to_owned()];
    for (broker, head) in &news.heads {
        let line = format!("\n{broker} {head}");
        match payloads.last_mut() {
            Some(last) if last.len() + line.len() <= PAYLOAD_BYTES => last.push_str(&line),
            _ => payloads.push(format!("{instance}{line}")),
        }
    }
    payloads
}

/// What an announcement says, unless it is our own.
#[must_use]
pub fn parse(instance: &str, payload: &str) -> Option<Vec<(crate::ids::BrokerId, i64)>> {
    let mut lines = payload.lines();
    if lines.next() == Some(instance) {
        return None;
    }
    let hint = |line: &str| {
        let (broker, head) = line.split_once(' ')?;
        Some((broker.parse().ok()?, head.parse().ok()?))
    };
    Some(lines.filter_map(hint).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BrokerId;

    #[test]
    fn announcements_fit_and_say_everything() {
        let id = |n| BrokerId::parse(&format!("{n:0>64}")).unwrap();
        let mut news = News::default();
        news.heads.extend((0..500).map(|n| (id(n), i64::from(n))));
        let payloads = payloads("me", &news);
        assert!(payloads.iter().all(|p| p.len() < 8_000));
        let mut told: Vec<_> = payloads
            .iter()
            .flat_map(|p| parse("you", p).unwrap())
            .collect();
        told.sort();
        assert_eq!(
            told,
            (0..500).map(|n| (id(n), i64::from(n))).collect::<Vec<_>>()
        );
        assert!(payloads.iter().all(|p| parse("me", p).is_none()));
    }
}
