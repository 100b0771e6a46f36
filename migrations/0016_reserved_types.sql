-- Types by which the service tells of its own work (tasks, notifications, locks, presence, signals
-- and streams) cannot be emitted: clients rely on it that nobody else uses them.

-- `src/ids/reserved.rs` says the same. Signals that a deployment adds are known to the service alone,
-- which sets such events aside.
create function porchlight.is_reserved_type(type text)
    returns boolean
    language sql
    immutable
    parallel safe
return type in ('hb', 'error', 'open', 'message', 'user:typing')
    or type ~ '^(stream|presence|locks|ai:task|notification|user:presence|user:viewing|user:editing):'
    or type ~ '^user:stopped_'
    or type ~ '(^|:)(locked|unlocked|lock_requested|lock_available)$';

-- Gives the type back, unless it is reserved. A type is written by a programmer and not read from
-- a row, so a wrong one fails at once, while what `data` holds fails nothing.
create function porchlight.refuse_reserved_type(type text)
    returns text
    language plpgsql
    immutable
    parallel safe
    set search_path = pg_catalog, pg_temp
as $$
begin
    if porchlight.is_reserved_type(type) then
        raise exception 'the type % is reserved: only Porchlight itself publishes it', type
            using errcode = 'invalid_parameter_value',
                hint = 'Use a type of your own. Tasks, notifications, locks, heartbeats and signals have '
                    'endpoints, which publish their events.';
    end if;
    return type;
end
$$;

-- As before, but for the type.
create or replace function porchlight.emit(type text, audience jsonb, data anycompatible default null,
        broker text default null, module text default null, record_id text default null,
        changes anycompatible default null, version bigint default null, user_id text default null)
    returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
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
    ) told
$$;

-- A table whose events would have reserved types cannot be watched.
create function porchlight.refuse_reserved_singular()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if porchlight.is_reserved_type(new.singular || ':created') then
        raise exception 'types like %:created are reserved: only Porchlight itself publishes them', new.singular
            using errcode = 'invalid_parameter_value', hint = 'Name another singular.';
    end if;
    return new;
end
$$;
revoke execute on function porchlight.refuse_reserved_singular() from public;

create trigger reserved_singular before insert or update of singular on porchlight.watches
    for each row execute function porchlight.refuse_reserved_singular();
