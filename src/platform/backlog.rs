//! What a background task has taken from its channel, and does again when it has failed.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

/// The pause after a failure, so that a database that is away is not asked all the time.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Takes messages until `backlog` has `most`. Waits for one only while `backlog` is empty: what is in it has failed, and is
/// tried again. Returns whether there is something to do: there is not when the channel has closed.
pub async fn take_more<T>(
    channel: &mut mpsc::Receiver<T>,
    backlog: &mut Vec<T>,
    most: usize,
) -> bool {
    let (is_empty, room) = (backlog.is_empty(), most.saturating_sub(backlog.len()));
    let taking = channel.recv_many(backlog, room);
    if is_empty {
        return taking.await > 0;
    }
    let _ = taking.now_or_never();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_failed_waits_for_no_message_and_leaves_room_for_few() {
        let (sender, mut channel) = mpsc::channel(9);
        let mut backlog = vec![1, 2];
        assert!(take_more(&mut channel, &mut backlog, 3).await);
        assert_eq!(backlog, [1, 2]);
        for n in 3..6 {
            sender.try_send(n).unwrap();
        }
        assert!(take_more(&mut channel, &mut backlog, 3).await);
        assert!(take_more(&mut channel, &mut backlog, 3).await);
        assert_eq!(backlog, [1, 2, 3]);
        backlog.clear();
        assert!(take_more(&mut channel, &mut backlog, 3).await);
        assert_eq!(backlog, [4, 5]);
        drop(sender);
        backlog.clear();
        assert!(!take_more(&mut channel, &mut backlog, 3).await);
    }
}
