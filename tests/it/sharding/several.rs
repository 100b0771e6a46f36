//! The statements that touch several brokerages. Rows of two of them never meet in one, so each can run at every server
//! for the brokerages that live there.

/// A statement, by a part of its text that no other has, and why it touches several brokerages.
pub struct Known {
    pub text: &'static str,
    #[expect(dead_code, reason = "for people")]
    why: &'static str,
}

const fn known(why: &'static str, text: &'static str) -> Known {
    Known { text, why }
}

/// Requests of several brokerages that arrive together are committed together: one sync of the disk for all.
const COMMIT: &str = "the group commit";
/// Readers of one instance that ask at the same time are served by one query. Each row is of its reader's brokerage.
const READERS: &str = "one query for many readers";
/// What several people did in the last moments is stored together, each row by itself.
const WRITERS: &str = "one statement for many writers";
/// Looks for what is due, or removes what is over.
const SERVER: &str = "housekeeping of this server";
/// A queue of this server, whose rows name their brokerage.
const QUEUE: &str = "a queue of this server";
/// One row, found by a key that is unique at this server.
const KEY: &str = "one row by its key";

pub const SEVERAL: &[Known] = &[
    known(
        COMMIT,
        "insert into porchlight.events (broker_id, position, audience",
    ),
    known(
        COMMIT,
        "update porchlight.events e set owner_id = l.owner_id from latest l",
    ),
    known(
        COMMIT,
        "insert into porchlight.idempotency_keys as k\n                 (broker_id",
    ),
    known(
        COMMIT,
        "update porchlight.idempotency_keys k\n         set epoch = a.epoch",
    ),
    known(
        COMMIT,
        "insert into porchlight.brokers (broker_id, epoch)\n         select",
    ),
    known(QUEUE, "delete from porchlight.outbox where ctid = any"),
    known(QUEUE, "select broker_id, id, line from porchlight.outbox"),
    known(
        QUEUE,
        "select broker_id, created_at from porchlight.outbox order by id",
    ),
    known(
        QUEUE,
        "select broker_id, created_at, operation from porchlight.outbox",
    ),
    known(
        QUEUE,
        "insert into porchlight.poison (id, outbox_row, reason)",
    ),
    known(QUEUE, "delete from porchlight.poison where id <="),
    known(QUEUE, "as \"of_brokerage!\""),
    known(QUEUE, "from gone, json_to_record(gone.outbox_row)"),
    known(QUEUE, "insert into porchlight.claim_turns"),
    known(QUEUE, "from porchlight.revocations where number > $1"),
    known(QUEUE, "from porchlight.stream_renewals where number > $1"),
    known(
        QUEUE,
        "select broker_id, number, question from porchlight.peer_questions",
    ),
    known(
        READERS,
        "select broker_id, epoch, head, horizon from porchlight.brokers where broker_id = any",
    ),
    known(
        READERS,
        "select broker_id, epoch, head, horizon, (select porchlight.is_copy())",
    ),
    known(
        SERVER,
        "select broker_id, row_number() over (order by broker_id) as place from porchlight.brokers",
    ),
    known(
        READERS,
        "join porchlight.presence p on p.instance = seen.instance",
    ),
    known(READERS, "where p.instance = i.instance and p.flush >"),
    known(
        READERS,
        "from porchlight.presence p where p.broker_id = any",
    ),
    known(READERS, "select p.n as \"n!\", t.state, t.attempt"),
    known(READERS, "t.output_bytes <> p.byte"),
    known(READERS, "jsonb_array_length(l.waiting) as waiting"),
    known(
        READERS,
        "select e.audience as \"audience?\", coalesce(e.position, 0)",
    ),
    known(
        READERS,
        "join porchlight.memberships m using (broker_id, user_id)",
    ),
    known(WRITERS, "insert into porchlight.presence as p"),
    known(WRITERS, "insert into porchlight.people as p"),
    known(WRITERS, "insert into porchlight.memberships as m"),
    known(
        WRITERS,
        "update porchlight.memberships m set teams = string_to_array",
    ),
    known(
        WRITERS,
        "insert into porchlight.notification_marks as m (broker_id, user_id, teams)\n         select broker_id",
    ),
    known(WRITERS, "update porchlight.stream_renewals r set outcome"),
    known(WRITERS, "case when tells then partial::text end as partial"),
    known(SERVER, "insert into porchlight.fence_floors as f"),
    known(SERVER, "select b.broker_id, greatest(b.head - $2"),
    known(
        SERVER,
        "select broker_id from porchlight.notifications\n             where created_at <",
    ),
    known(
        SERVER,
        "delete from porchlight.peer_questions\n         where created_at <",
    ),
    known(SERVER, "delete from porchlight.instances\n"),
    known(
        SERVER,
        "delete from porchlight.tasks where (broker_id, id) in",
    ),
    known(
        SERVER,
        "select broker_id, id from porchlight.tasks\n             where ended_at",
    ),
    known(
        SERVER,
        "delete from porchlight.task_output where (broker_id, task_id, attempt, at_byte) in",
    ),
    known(
        SERVER,
        "delete from porchlight.import_faults where (broker_id, task_id, n) in",
    ),
    known(
        SERVER,
        "delete from porchlight.uploads where (broker_id, id) in",
    ),
    known(
        SERVER,
        "delete from porchlight.idempotency_keys\n         where (broker_id",
    ),
    known(SERVER, "is_untold and told_at <= statement_timestamp()"),
    known(
        SERVER,
        "as \"oldest_waiting_seconds!\",\n             sum(failed)",
    ),
    known(SERVER, "delete from porchlight.revocations r using"),
    known(SERVER, "select distinct broker_id from porchlight.locks"),
    known(SERVER, "left join porchlight.notified n using (broker_id)"),
    known(KEY, "update porchlight.tickets set used_at"),
];

/// Those whose plans do not show that brokerages stay apart: one keeps whose turn it is at this server, another puts a row
/// back as it was, and the last has the one brokerage of its parameter in every part.
pub const NOT_SHOWN: [&str; 3] = [
    "insert into porchlight.claim_turns",
    "from gone, json_to_record(gone.outbox_row)",
    "returning broker_id, module, record_id, audience, type, position",
];
