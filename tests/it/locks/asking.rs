//! Asking for a lock, and taking it.

use std::time::Duration;

use porchlight::collab::{LockClaim, LockError, LockSweeper, Locks, TakeoverRight};
use porchlight::directory::Modules;
use porchlight::identity::{Caller, Role};
use porchlight::log::EventCommitter;
use porchlight::log::{ChangeHints, CommitNotifier, PeerNotifier};
use porchlight::platform::{Clock, DedicatedConnection, Dice, InstanceCount, Pool, Queues};
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};
use tokio_util::sync::CancellationToken;

use super::{
    RECORD, admin, agent, end_every_lease, lock, post_lock, received_until_marker, two, unlock,
};
use crate::support::{Token, eventually};

#[tokio::test]
async fn the_holder_learns_who_waits_and_the_waiting_learn_when_it_is_free() {
    let [a, b] = &two(&[]).await;
    let (ann, bob, cid) = (agent("ann"), agent("bob"), agent("cid"));
    // Notifications of the same requests come at any time between.
    let path = "/stream/user?types=escrow:*";
    let mut streams = [
        a.stream(path, &ann).await,
        b.stream(path, &bob).await,
        a.stream(path, &cid).await,
    ];
    lock(a, &ann, RECORD, "tab").await;
    let asked = post_lock(b, &bob, "e-1/request", json!({"session": "phone"})).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(asked.json()["lock"]["waiting"], 1);
    assert_eq!(asked.json()["lock"]["holder"]["userId"], "ann");
    // Asking again at once disturbs nobody.
    let again = post_lock(a, &bob, "e-1/request", json!({})).await;
    assert_eq!(
        (again.status, &again.json()["lock"]["waiting"]),
        (202, &json!(1))
    );
    assert_eq!(
        post_lock(a, &cid, "e-1/request", json!({})).await.status,
        202
    );
    let received = streams[0].logged(2).await;
    for (message, by) in received.iter().zip([
        json!({"userId": "bob", "session": "phone"}),
        json!({"userId": "cid"}),
    ]) {
        assert_eq!(message.name, "escrow:lock_requested");
        assert_eq!(message.json()["data"], json!({"by": by}));
        assert_eq!(message.json()["userId"], by["userId"]);
        assert_eq!(message.json()["recordId"], RECORD);
    }
    assert_eq!(unlock(b, &ann, RECORD).await.status, 204);
    for stream in &mut streams[1..] {
        let message = stream.next_logged().await;
        assert_eq!(message.name, "escrow:lock_available");
        assert_eq!(message.json()["recordId"], RECORD);
    }
    // They know; they do not wait any more.
    let next = lock(b, &bob, RECORD, "tab").await;
    assert_eq!((next.status, &next.json()["waiting"]), (201, &json!(0)));
    // Also at the end of a lease.
    assert_eq!(
        post_lock(a, &cid, "e-1/request", json!({})).await.status,
        202
    );
    end_every_lease(&mut a.database.connect().await).await;
    assert_eq!(streams[2].next_logged().await.name, "escrow:lock_available");
}

#[tokio::test]
async fn only_somebody_elses_lock_is_asked_for() {
    let [a, b] = &two(&[]).await;
    let free = post_lock(a, &agent("bob"), "e-1/request", json!({})).await;
    free.refused(404, "not_locked", "a free one");
    lock(a, &agent("ann"), RECORD, "tab").await;
    let own = post_lock(b, &agent("ann"), "e-1/request", json!({"session": "phone"})).await;
    own.refused(409, "own_lock", "one's own");
    assert_eq!(own.json()["lock"]["fence"], 1);
    let own = post_lock(
        b,
        &Token {
            user: "ann".to_owned(),
            ..admin(&["a"])
        },
        "e-1/takeover",
        json!({"session": "x"}),
    )
    .await;
    own.refused(409, "own_lock", "one's own, as an admin");
}

#[tokio::test]
async fn an_admin_takes_over_and_everybody_receives_the_unlock_before_the_lock() {
    let [a, b] = &two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let mut streams = [
        a.stream("/stream?types=escrow:*,test:*", &ann).await,
        b.stream("/stream?types=escrow:*,test:*", &bob).await,
    ];
    lock(a, &ann, RECORD, "tab").await;
    post_lock(b, &bob, "e-1/request", json!({})).await;
    streams[0].logged(2).await;
    streams[1].logged(1).await;
    let body = json!({"session": "desk", "leaseSeconds": 60});
    for role in [Role::Agent, Role::Service, Role::Worker] {
        let refused = post_lock(b, &agent("bob").in_role(role), "e-1/takeover", body.clone()).await;
        refused.refused(403, "takeover_refused", "a takeover");
        assert_eq!(refused.json()["lock"]["holder"]["userId"], "ann");
    }
    let taken = post_lock(b, &admin(&["a"]), "e-1/takeover", body).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(taken.json()["fence"], 2);
    assert_eq!(
        taken.json()["holder"],
        json!({"userId": "boss", "session": "desk"})
    );
    // The others go on waiting.
    assert_eq!(taken.json()["waiting"], 1);
    let first = streams[0].next_logged().await.json();
    assert_eq!(
        first["data"]["by"],
        json!({"userId": "boss", "session": "desk"})
    );
    assert_eq!(first["userId"], "boss");
    for what in ["e-1/renew"] {
        post_lock(a, &ann, what, json!({"session": "tab"}))
            .await
            .refused(409, "locked", what);
    }
    unlock(a, &ann, RECORD)
        .await
        .refused(409, "locked", "what was taken");
    unlock(b, &admin(&["a"]), RECORD).await;
    let received = received_until_marker(a, &mut streams).await;
    let expected = [
        "escrow:unlocked taken_over ann 1",
        "escrow:locked boss 2",
        "escrow:unlocked released boss 2",
        "escrow:lock_available 2",
    ];
    assert_eq!(received[0], expected[1..3]);
    assert_eq!(received[1], expected);
    // A free lock can be taken by anybody.
    let free = post_lock(a, &ann, "e-1/takeover", json!({"session": "tab"})).await;
    assert_eq!((free.status, &free.json()["fence"]), (201, &json!(3)));
}

#[tokio::test]
async fn whoever_is_gone_and_silent_for_long_enough_can_be_followed_by_anyone() {
    let [a, b] = &two(&[]).await;
    lock(a, &agent("ann"), RECORD, "tab").await;
    let pool = PgPool::connect_lazy_with(a.database.options());
    let (committed, _told) = CommitNotifier::new(
        ChangeHints::default(),
        PeerNotifier::default(),
        &Queues::default(),
    );
    let modules = Modules::default();
    let pool = Pool::from(pool);
    let sweeper = LockSweeper {
        instances: InstanceCount::default(),
        database: DedicatedConnection::new(pool.clone()),
        modules,
        committer: EventCommitter::new(Dice::system(), committed),
        dice: Dice::system(),
        stop: CancellationToken::new(),
    };
    // Without the task: the leases of this test do not end.
    let (locks, _sweeping) = Locks::start(pool, sweeper);
    let bob = Caller {
        user: "bob".parse().unwrap(),
        broker: "b".parse().unwrap(),
        teams: ["a".parse().unwrap()].into(),
        role: Role::Agent,
        expires_at: Clock::system().now(),
        credential: std::sync::Arc::default(),
    };
    let claim = LockClaim {
        record: "escrows/e-1".parse().unwrap(),
        session: "tab".parse().unwrap(),
        lease: None,
        key: None,
    };
    let gone = |holder: &str, seconds: u64| TakeoverRight::HolderGone {
        holder: holder.parse().unwrap(),
        grace: Duration::from_secs(seconds),
    };
    let silent = "update porchlight.locks set renewed_at = renewed_at - interval '100 s'";
    a.database.connect().await.execute(silent).await.unwrap();
    // Somebody else was gone; or not for long enough; or nobody was.
    for right in [gone("cid", 60), gone("ann", 200), TakeoverRight::No] {
        let refused = locks.take_over(&bob, &claim, &right).await;
        assert!(
            matches!(refused, Err(LockError::TakeoverRefused(_))),
            "{right:?}"
        );
    }
    // A sign of the holder counts.
    post_lock(b, &agent("ann"), "e-1/renew", json!({"session": "tab"})).await;
    let refused = locks.take_over(&bob, &claim, &gone("ann", 60)).await;
    assert!(matches!(refused, Err(LockError::TakeoverRefused(_))));
    a.database.connect().await.execute(silent).await.unwrap();
    let taken = locks
        .take_over(&bob, &claim, &gone("ann", 60))
        .await
        .unwrap();
    let taken = taken.answer;
    assert_eq!((taken.fence, taken.holder.user_id.as_str()), (2, "bob"));
}

#[tokio::test]
async fn lines_and_shares_have_an_end_that_is_said() {
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    lock(a, &ann, RECORD, "tab-0").await;
    for n in 1..32 {
        assert_eq!(lock(b, &ann, RECORD, &format!("tab-{n}")).await.status, 200);
    }
    let one_more = lock(a, &ann, RECORD, "tab-32").await;
    one_more.refused(409, "too_many_sessions", "a 33rd session");
    assert_eq!(lock(a, &ann, RECORD, "tab-31").await.status, 200);
    let fill = "update porchlight.locks set waiting = (
         select jsonb_agg(jsonb_build_object('userId', 'w-' || n, 'toldAt', '2020-01-01T00:00:00Z'))
         from generate_series(1, 50) n)";
    a.database.connect().await.execute(fill).await.unwrap();
    let one_more = post_lock(a, &agent("bob"), "e-1/request", json!({})).await;
    one_more.refused(409, "too_many_waiting", "a 51st in the line");
    // A user that waits may ask again after a long time.
    let mut stream = a.stream("/stream/user?types=escrow:*", &ann).await;
    assert_eq!(
        post_lock(b, &agent("w-7"), "e-1/request", json!({}))
            .await
            .status,
        202
    );
    let received: Value = stream.next_logged().await.json();
    assert_eq!(received["data"]["by"]["userId"], "w-7");
}

#[tokio::test]
async fn anyone_may_take_over_once_the_holder_has_been_gone_for_the_grace_and_nobody_sooner() {
    let [a, b] = &two(&["--presence-grace-seconds=1"]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let anns = a.stream("/stream", &ann).await;
    lock(a, &ann, RECORD, "tab").await;
    let take = || post_lock(b, &bob, "e-1/takeover", json!({"session": "bobs"}));
    eventually("the other instance knows that she is there", || async {
        let seen = b.list("/presence", &bob).await;
        (seen["online"] == 1).then_some(())
    })
    .await;
    let refused = take().await;
    refused.refused(403, "takeover_refused", "a holder who is there");
    let left_at = tokio::time::Instant::now();
    drop(anns);
    let taken = eventually("she counts as gone", || async {
        let answer = take().await;
        (answer.status != 403).then_some(answer)
    })
    .await;
    assert!(left_at.elapsed() >= Duration::from_millis(900));
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(taken.json()["fence"], 2);
    assert_eq!(taken.json()["holder"]["userId"], "bob");
}

#[tokio::test]
async fn a_waiting_user_who_takes_over_no_longer_waits() {
    let [a, b] = &two(&[]).await;
    let (ann, bob, boss) = (agent("ann"), agent("bob"), admin(&["a"]));
    lock(a, &ann, RECORD, "tab").await;
    for who in [&boss, &bob] {
        assert_eq!(
            post_lock(b, who, "e-1/request", json!({})).await.status,
            202
        );
    }
    let taken = post_lock(a, &boss, "e-1/takeover", json!({"session": "desk"})).await;
    assert_eq!((taken.status, &taken.json()["waiting"]), (201, &json!(1)));
    let mut streams = [
        a.stream("/stream?types=escrow:*,test:*", &boss).await,
        b.stream("/stream?types=escrow:*,test:*", &bob).await,
    ];
    unlock(b, &boss, RECORD).await;
    let received = received_until_marker(a, &mut streams).await;
    let expected = ["escrow:unlocked released boss 2", "escrow:lock_available 2"];
    assert_eq!(received[0], expected[..1]);
    assert_eq!(received[1], expected);
}
