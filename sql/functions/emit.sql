-- revision: 2
-- Publishes an event of the CRM's own when the transaction commits. `audience` is one of {"user": id},
-- {"team": id} and {"broker": true}. The brokerage is `broker`, or else `SET LOCAL porchlight.broker_id`,
-- or else part of the audience: {"broker": "b-1", "team": "t-1"}. `data` and `changes` are json, jsonb,
-- text that contains JSON, or any value that can be converted to JSON. Their content cannot fail the
-- transaction: the relay sets aside what it cannot publish. A reserved type fails at once. It runs with the rights of its
-- caller, because the conversion to JSON calls a cast that the caller may have made; `emit_texts` writes to the outbox.
create or replace function porchlight.emit(type text, audience jsonb, data anycompatible default null,
        broker text default null, module text default null, record_id text default null,
        changes anycompatible default null, version bigint default null, user_id text default null)
    returns void
    language sql
    security invoker
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
as $$
    select porchlight.emit_texts(emit.type, emit.audience,
        case when pg_typeof(emit.data) = 'text'::regtype then emit.data::text
            else to_json(emit.data)::text end,
        case when pg_typeof(emit.changes) = 'text'::regtype then emit.changes::text
            else to_json(emit.changes)::text end,
        emit.broker, emit.module, emit.record_id, emit.version, emit.user_id)
$$;
