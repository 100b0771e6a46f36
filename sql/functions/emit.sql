-- revision: 1
-- Publishes an event of the CRM's own when the transaction commits. `audience` is one of {"user": id},
-- {"team": id} and {"broker": true}. The brokerage is `broker`, or else `SET LOCAL porchlight.broker_id`,
-- or else part of the audience: {"broker": "b-1", "team": "t-1"}. `data` and `changes` are json, jsonb,
-- text that contains JSON, or any value that can be converted to JSON. Their content cannot fail the
-- transaction: the relay sets aside what it cannot publish. A reserved type fails at once.
create or replace function porchlight.emit(type text, audience jsonb, data anycompatible default null,
        broker text default null, module text default null, record_id text default null,
        changes anycompatible default null, version bigint default null, user_id text default null)
    returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
as $$
    insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id, version,
        data, changes, is_truncated)
    select coalesce(emit.broker, case jsonb_typeof(audience -> 'broker')
                when 'string' then audience ->> 'broker' end,
            nullif(current_setting('porchlight.broker_id', true), '')),
        case
            when audience ? 'user' then 'user:' || (audience ->> 'user')
            when audience ? 'team' then 'team:' || (audience ->> 'team')
            when audience -> 'broker' = 'true' or jsonb_typeof(audience -> 'broker') = 'string' then 'broker'
        end,
        porchlight.refuse_reserved_type(emit.type), emit.module, emit.record_id,
        coalesce(emit.user_id, nullif(current_setting('porchlight.user_id', true), '')),
        emit.version, case when fits then data_text end, case when fits then changes_text end,
        not fits
    from (
        select *, coalesce(octet_length(data_text), 0) + coalesce(octet_length(changes_text), 0)
            <= 65536 as fits
        from (
            select case when pg_typeof(emit.data) = 'text'::regtype then emit.data::text
                    else to_json(emit.data)::text end as data_text,
                case when pg_typeof(emit.changes) = 'text'::regtype then emit.changes::text
                    else to_json(emit.changes)::text end as changes_text
        ) texts
    ) sized
$$;
