-- Lists: a page costs a page, in rows that are read and in bytes that are held.

-- Bytes that an event takes in an answer, and in the memory of whoever reads it: never less than
-- its JSON has.
create function porchlight.event_bytes(
        event_type text, user_id text, data json, changes json, private json, previous json)
    returns bigint
    language sql
    immutable
as $$
    -- A character of a user's name can become two. The rest of an event has a bounded length.
    select 512 + 2 * octet_length(event_type) + 2 * coalesce(octet_length(user_id), 0)
        + coalesce(octet_length(data::text), 0)::bigint + coalesce(octet_length(changes::text), 0)
        + coalesce(octet_length(private::text), 0) + coalesce(octet_length(previous::text), 0)
$$;

-- The text of a query for events of `$1` that `$2` are told of, beyond the position `$3`, at most
-- `$4`. Types are like one of `$5`; records (`module/id`) are those of `$6`, and are looked up by
-- themselves. A query that has only the filters that are asked for finds the right index.
create function porchlight.events_query(columns text, backward boolean, has_types boolean, has_records boolean)
    returns text
    language sql
    immutable
as $$
    select format('select %1$s from %2$s
                and e.position %3$s $3 %4$s
            order by e.position %5$s limit $4
        ) e order by e.position %5$s limit $4',
        columns,
        case when has_records then
            '(select distinct split_part(path, ''/'', 1) as module, split_part(path, ''/'', 2) as id
                from unnest($6) as asked(path)) as record
            cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.module = record.module and e.record_id = record.id
                    and e.audience = any ($2)'
        else
            'unnest($2) as mine(audience)
            cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.audience = mine.audience'
        end,
        case when backward then '<' else '>' end,
        case when has_types then 'and e.type like any ($5)' end,
        case when backward then 'desc' else 'asc' end)
$$;

-- A page of events: at most `most`, and of no more than `most_bytes` unless it is one event. After
-- a page that was cut comes an empty row. Rows are read one by one, so that what does not fit is
-- not read.
create function porchlight.events_page(broker text, audiences text[], beyond bigint, backward boolean,
        types text[], records text[], most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    event porchlight.events;
    count bigint := 0;
    bytes bigint := 0;
begin
    for event in execute porchlight.events_query('e.*', backward, types is not null, records is not null)
        using broker, audiences, beyond, most + 1, types, records
    loop
        count := count + 1;
        bytes := bytes + porchlight.event_bytes(event.type, event.user_id, event.data, event.changes,
            event.private, null);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.events;
            return;
        end if;
        return next event;
    end loop;
end
$$;

-- The position of the first of the last `most` events, of which nothing else is read.
create function porchlight.position_of_last_events(broker text, audiences text[], types text[], records text[], most bigint)
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    first bigint;
begin
    execute format('select min(position) from (%s) e',
            porchlight.events_query('e.position', true, types is not null, records is not null))
        into first using broker, audiences, 9223372036854775807, most, types, records;
    return first;
end
$$;

-- The same as a page, of a stretch of the log: in `(after, upto]`, for these audiences, or for all
-- where `audiences` is null.
create function porchlight.events_between(broker text, audiences text[], after bigint, upto bigint,
        most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    event porchlight.events;
    count bigint := 0;
    bytes bigint := 0;
begin
    for event in
        select * from porchlight.events e
        where e.broker_id = broker and e.position > after and e.position <= upto
            and (audiences is null or e.audience = any (audiences))
        order by e.position limit most + 1
    loop
        count := count + 1;
        bytes := bytes + porchlight.event_bytes(event.type, event.user_id, event.data, event.changes,
            event.private, null);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.events;
            return;
        end if;
        return next event;
    end loop;
end
$$;

-- A page of what people did, from new to old. The acts of one record are few among all of an
-- audience, and are found by the record; others by the audience. The end of a lock is an act where
-- somebody took it, and the end of a task, which its user is told, unless the task is a part of
-- another. (What begins with a fence is told to its worker.)
create function porchlight.acts_page(broker text, audiences text[], before bigint, types text[],
        module text, record_id text, user_id text, most bigint, most_bytes bigint)
    returns setof porchlight.events
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    event porchlight.events;
    count bigint := 0;
    bytes bigint := 0;
begin
    for event in execute format('select e.* from %s
                and e.position < $3 and e.type = any ($4) %s %s
                and (e.type not like ''%%:unlocked''
                    or strpos(e.data::text, ''"reason":"taken_over"'') > 0)
                and (e.type not like ''ai:task:%%'' or e.audience like ''user:%%''
                    and strpos(e.data::text, ''"parentId":"'') = 0
                    and e.data::text not like ''{"fence":%%'')
            order by e.position desc limit $8
        ) e order by e.position desc limit $8',
        case when record_id is not null then
            '(select * from porchlight.events e
                where e.broker_id = $1 and e.audience = any ($2) and e.record_id = $6'
        else
            'unnest($2) as mine(audience) cross join lateral (
                select * from porchlight.events e
                where e.broker_id = $1 and e.audience = mine.audience'
        end,
        case when module is not null then 'and e.module = $5' end,
        case when user_id is not null then 'and e.user_id = $7' end)
        using broker, audiences, before, types, module, record_id, user_id, most + 1
    loop
        count := count + 1;
        bytes := bytes + porchlight.event_bytes(event.type, event.user_id, event.data, event.changes,
            event.private, event.previous);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.events;
            return;
        end if;
        return next event;
    end loop;
end
$$;

-- A page of records as before, now cut like the pages above: after a page that is not the last
-- comes an empty row.
drop function porchlight.records_page(text, text, text[], jsonb, integer);
create function porchlight.records_page(
        module text, broker text, teams text[], wanted jsonb, most bigint, most_bytes bigint)
    returns setof porchlight.record_row
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l          record := porchlight.record_list(module);
    -- What is compared, as a format of a column or of a text.
    as_key     text;
    is_kept    boolean;
    key        text;
    ended      text;
    conditions text;
    searched   text;
    one        porchlight.record_row;
    count      bigint := 0;
    bytes      bigint := 0;
begin
    select case when a.atttypid = 'text'::regtype then 'lower(%s::text) collate "C"'
            else '(%s)::' || format_type(a.atttypid, null) end, a.attnotnull
        into strict as_key, is_kept
    from pg_attribute a
    where a.attrelid = l.records and a.attname = wanted ->> 'sort' and a.attnum > 0;
    key := format(as_key, format('n.%I', wanted ->> 'sort'));
    ended := format(as_key, '($3 ->> ''after'')');
    select string_agg(format(' and n.%I = %L', e.key, e.value), '') into conditions
    from jsonb_each_text(wanted -> 'equal') e;
    if wanted ? 'is_away' then
        conditions := concat(conditions, ' and n.archived_at is ',
            case when (wanted ->> 'is_away')::boolean then 'not ' end, 'null');
    end if;
    if jsonb_array_length(wanted -> 'words') > 0 then
        select string_agg(format(case when a.atttypid = 'text'::regtype then 'n.%I'
                else 'array_to_string(n.%I, E''\n'')' end, a.attname), ', ') into searched
        from jsonb_array_elements_text(wanted -> 'searched') c
        join pg_attribute a on a.attrelid = l.records and a.attname = c;
        conditions := concat(conditions, format(' and concat_ws(E''\n'', %s) collate "C" ~ all (array(
            select jsonb_array_elements_text($3 -> ''words'')))', searched));
    end if;
    if wanted ? 'after_id' and wanted ->> 'after' is null then
        conditions := concat(conditions, format(
            ' and %s is null and n.id collate "C" > $3 ->> ''after_id''', key));
    elsif wanted ? 'after_id' then
        -- Where there is always a value, an index finds the place.
        conditions := concat(conditions, format(
            case when is_kept then ' and %1$s %2$s= %3$s
                and (%1$s <> %3$s or n.id collate "C" > $3 ->> ''after_id'')'
            else ' and (%1$s %2$s %3$s or %1$s is null
                or %1$s = %3$s and n.id collate "C" > $3 ->> ''after_id'')' end,
            key, case when (wanted ->> 'descending')::boolean then '<' else '>' end, ended));
    end if;
    for one in execute format('select %s from %s n
        where n.broker_id = $1 and (n.team_id is null or n.team_id = any ($2)) %s
        order by %s %s nulls last, n.id collate "C" limit $4',
        l.list, l.records, conditions, key,
        case when (wanted ->> 'descending')::boolean then 'desc' else 'asc' end)
        using broker, teams, wanted, most + 1
    loop
        count := count + 1;
        bytes := bytes + octet_length(one.told) + coalesce(octet_length(one.secrets), 0)
            + coalesce(octet_length(one.field_versions), 0);
        if count > most or count > 1 and bytes > most_bytes then
            return next null::porchlight.record_row;
            return;
        end if;
        return next one;
    end loop;
end
$$;

-- What is held, in the order of lists: a page of it is not sorted out of all.
create index locks_held_since on porchlight.locks (broker_id, locked_at, module, record_id)
    where locked_until is not null;
drop index porchlight.locks_held;

-- What one reader has read, without what others have.
create index notification_reads_by_user on porchlight.notification_reads (broker_id, user_id, id);

-- Unread notifications are counted on from where they were counted last.
alter table porchlight.notification_books
    -- Grows whenever retention removes some: what was counted before has to be counted again.
    add column removals bigint not null default 0;
alter table porchlight.notification_marks
    -- Up to here this many were unread, counted for these teams, after so many removals. Teams are
    -- null where nothing was counted.
    add column counted_up_to    bigint not null default 0,
    add column counted          bigint not null default 0,
    add column counted_teams    text[],
    add column counted_removals bigint not null default 0;

-- How many of a reader's notifications in `(after, upto]` are unread, without regard to marks.
create function porchlight.unread_between(broker text, reader text, teams text[], after bigint, upto bigint)
    returns bigint
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select count(*) from porchlight.notifications n
    where n.broker_id = broker and n.audience = any (array['broker', 'user:' || reader] || teams)
        and n.id > after and n.id <= upto
        and not exists (
            select from porchlight.notification_reads r
            where r.broker_id = broker and r.user_id = reader and r.id > after and r.id = n.id)
$$;

-- How many of a reader's notifications are unread, and whether the count has fallen so far behind
-- that it should be kept. The teams are audiences (`team:<id>`), in order.
create function porchlight.count_unread(broker text, reader text, teams text[],
        out unread bigint, out is_behind boolean)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    book  porchlight.notification_books;
    mark  porchlight.notification_marks;
    after bigint := 0;
begin
    select * into book from porchlight.notification_books b where b.broker_id = broker;
    select * into mark from porchlight.notification_marks m
    where m.broker_id = broker and m.user_id = reader;
    unread := 0;
    if mark.counted_teams = teams and mark.counted_removals = book.removals then
        unread := mark.counted;
        after := mark.counted_up_to;
    end if;
    is_behind := coalesce(book.last_id, 0) - after >= 256;
    unread := unread + porchlight.unread_between(broker, reader, teams,
        greatest(after, coalesce(mark.read_up_to, 0)), 9223372036854775807);
end
$$;

-- The same number, which is kept if it should be. The caller holds the reader's mark and the book, of
-- which notifications up to `upto` are there (0: there is no book).
create function porchlight.keep_unread(broker text, reader text, teams text[], upto bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    now record := porchlight.count_unread(broker, reader, teams);
begin
    if now.is_behind and upto > 0 then
        update porchlight.notification_marks m
        set counted = now.unread, counted_up_to = upto, counted_teams = keep_unread.teams,
            counted_removals = b.removals
        from porchlight.notification_books b
        where b.broker_id = broker and m.broker_id = broker and m.user_id = reader;
    end if;
    return now.unread;
end
$$;
drop function porchlight.unread_notifications(text, text, text[]);
