-- What admins see of a running service, and do.

-- Questions of an instance to all others, and their answers. They count for seconds: a crash of the server may
-- empty the tables. The number is that of `session_head`.
create unlogged table porchlight.peer_questions (
    broker_id  text not null,
    number     bigint not null,
    -- The instance that asks.
    asked_by   text not null,
    question   text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (broker_id, number)
);
create index peer_questions_by_number on porchlight.peer_questions (number);

create unlogged table porchlight.peer_answers (
    broker_id text not null,
    number    bigint not null,
    instance  text not null,
    answer    text not null,
    primary key (broker_id, number, instance),
    constraint answers_go_with_their_question
        foreign key (broker_id, number) references porchlight.peer_questions on delete cascade
);

-- The session `*` stands for streams that do not make their user present: those of services and workers, and
-- streams of output. They count for the limit of streams of a user.
alter table porchlight.presence drop constraint only_streams_last;
alter table porchlight.presence add constraint only_streams_last
    check (live_until is not null or session in ('', '*'));

-- Rows that were set aside can be retried and discarded one by one, by the admins of their brokerage.
alter table porchlight.poison
    add column number bigint generated always as identity primary key,
    add column broker_id text generated always as (outbox_row ->> 'broker_id') stored;
create index poison_by_broker on porchlight.poison (broker_id, number);
