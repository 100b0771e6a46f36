-- Which request an event came from, if that request is traced.

-- A `traceparent` of W3C Trace Context: the span of the request. Null for nearly all events, and a null takes
-- no space. It is not checked, because a check would lock the table for as long as it takes to read it.
alter table porchlight.events add column traceparent text;
comment on column porchlight.events.traceparent is
    'The span of the request that the event came from, if the request was sampled.';

-- The span of the request whose transaction makes the change: a program sets it for its transaction, with
-- `set local porchlight.traceparent = '00-…'`.
alter table porchlight.outbox add column traceparent text
    default nullif(current_setting('porchlight.traceparent', true), '');
