-- revision: 1
-- What `emit` does once `data` and `changes` are texts. It runs with the rights of its owner, so it takes no value whose
-- conversion would run code of the caller. Whoever may emit may call it.
create or replace function porchlight.emit_texts(type text, audience jsonb, data text, changes text,
        broker text, module text, record_id text, version bigint, user_id text)
    returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id, version,
        data, changes, is_truncated)
    select coalesce(emit_texts.broker, case jsonb_typeof(audience -> 'broker')
                when 'string' then audience ->> 'broker' end,
            nullif(current_setting('porchlight.broker_id', true), '')),
        case
            when audience ? 'user' then 'user:' || (audience ->> 'user')
            when audience ? 'team' then 'team:' || (audience ->> 'team')
            when audience -> 'broker' = 'true' or jsonb_typeof(audience -> 'broker') = 'string' then 'broker'
        end,
        porchlight.refuse_reserved_type(emit_texts.type), emit_texts.module, emit_texts.record_id,
        coalesce(emit_texts.user_id, nullif(current_setting('porchlight.user_id', true), '')),
        emit_texts.version, case when fits then emit_texts.data end,
        case when fits then emit_texts.changes end, not fits
    from (
        select coalesce(octet_length(emit_texts.data), 0) + coalesce(octet_length(emit_texts.changes), 0)
            <= 65536 as fits
    ) sized
$$;
