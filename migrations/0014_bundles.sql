-- What a statement did to many rows is told later: its writer only keeps the rows, old and new, which
-- costs a fraction of saying what is different. The relay unpacks them.

-- Where the rows of a watched table wait. A room is left when its table is watched anew, and goes when
-- nothing in it waits.
create table porchlight.rooms (
    room    regclass primary key,
    watched regclass references porchlight.watches on delete set null,
    columns text not null,
    -- Those of the watch when the room was made: what waits is told as it was watched then.
    queries jsonb not null
);
create unique index one_room on porchlight.rooms (watched);
create sequence porchlight.room_numbers;

alter table porchlight.outbox
    -- The place among the rows of one bundle.
    add column line      int not null default 0,
    -- A bundle: what this operation did lies in this room.
    add column operation text,
    add column room      regclass,
    drop constraint outbox_pkey,
    add primary key (id, line);
create index bundles on porchlight.outbox (id) where operation is not null;

-- The oldest bundle. Looked for often, like whatever else waits.
create function porchlight.first_bundle()
    returns bigint
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
begin
    return (select id from porchlight.outbox where operation is not null order by id limit 1);
end
$$;

alter table porchlight.poison
    add column line int not null default 0,
    drop constraint poison_pkey,
    add primary key (id, line);

-- Drops rooms that were left, unless somebody is in them.
create function porchlight.drop_rooms()
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    left_one regclass;
begin
    for left_one in select r.room from porchlight.rooms r where r.watched is null loop
        begin
            execute format('lock table %s in access exclusive mode nowait', left_one);
            if not exists (select from porchlight.outbox o where o.room = left_one) then
                execute format('drop table %s', left_one);
                delete from porchlight.rooms r where r.room = left_one;
            end if;
        exception when lock_not_available then
            null;
        end;
    end loop;
end
$$;

-- A table that is watched gets a room; not one with a column of somebody's own type, which nobody
-- could drop then.
create function porchlight.make_room()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    name     constant text := 'porchlight.room_' || nextval('porchlight.room_numbers');
    is_plain boolean;
    names    text;
    columns  text;
begin
    perform porchlight.drop_rooms();
    select bool_and(t.typtype = 'e' or b.typnamespace = 'pg_catalog'::regnamespace) and count(*) < 1500,
        string_agg(quote_ident(c.name), ', ' order by c.attnum),
        string_agg(quote_ident(c.name) || ' '
            || case when t.typtype = 'e' then 'text' else format_type(b.oid, -1) end, ', ' order by c.attnum)
    into is_plain, names, columns
    from porchlight.columns_of(new.watched) c
    join pg_type t on t.oid = c.type
    join pg_type b on b.oid = case t.typtype when 'd' then t.typbasetype else t.oid end
    where c.roles <> '{hidden}';
    if is_plain then
        execute format('create table %s (porchlight_bundle bigint, porchlight_is_new boolean, %s)',
            name, columns);
        insert into porchlight.rooms values (name, new.watched, names, new.statements);
    end if;
    return null;
end
$$;
revoke execute on function porchlight.make_room() from public;

create trigger make_room after update of made_of on porchlight.watches
    for each row when (old.made_of is null and new.made_of is not null)
    execute function porchlight.make_room();

-- Tells what a statement did to a watched table. Whatever goes wrong, the statement goes on.
create or replace function porchlight.capture()
    returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    -- As JSON is expected, whatever the session prefers.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set jit = off
as $$
declare
    actor   constant text := nullif(current_setting('porchlight.user_id', true), '');
    rows    bigint;
    watch   porchlight.watches;
    room    porchlight.rooms;
    bundle  bigint;
    failure text;
begin
    if tg_op = 'DELETE' then
        select count(*) into rows from (select from old_rows limit 1001) few;
    else
        select count(*) into rows from (select from new_rows limit 1001) few;
    end if;
    if rows = 0 then
        return null;
    end if;
    -- A subtransaction: an error in it undoes no more than what it told.
    begin
        select * into watch from porchlight.watches w where w.watched = tg_relid;
        if watch.made_of is distinct from porchlight.made_of(tg_relid) then
            watch.statements := jsonb_build_object(tg_op, porchlight.capture_statement(watch, tg_op));
        elsif rows > 1000 then
            select * into room from porchlight.rooms r where r.watched = tg_relid;
        end if;
        if room.room is not null then
            insert into porchlight.outbox (module, user_id, operation, room)
            values (watch.module, actor, tg_op, room.room) returning id into bundle;
            if tg_op <> 'INSERT' then
                execute format('insert into %s select $1, false, %s from old_rows', room.room, room.columns)
                    using bundle;
            end if;
            if tg_op <> 'DELETE' then
                execute format('insert into %s select $1, true, %s from new_rows', room.room, room.columns)
                    using bundle;
            end if;
        elsif watch.watched is not null then
            execute 'insert into porchlight.outbox (broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated) '
                || (watch.statements ->> tg_op) using actor;
        end if;
    exception when others then
        failure := format('%s of %s could not be told: %s (%s)', tg_op, tg_relid::regclass,
            sqlerrm, sqlstate);
        begin
            insert into porchlight.outbox (module, failure) values (watch.module, failure);
        exception when others then
            -- The words may hold values, and this is seen by clients and in logs.
            raise warning 'porchlight: % of % could not be told (%)', tg_op, tg_relid::regclass, sqlstate;
        end;
    end;
    return null;
end
$$;

-- Unpacks the oldest bundle: its rows stand in the outbox where it stood. Whether there was one.
create function porchlight.unpack()
    returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'iso_8601'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set jit = off
    -- A room has no index: all in it is read.
    set enable_seqscan = on
as $$
declare
    bundle porchlight.outbox;
    query  text;
begin
    delete from porchlight.outbox o where o.id = porchlight.first_bundle() and o.line = 0
    returning * into bundle;
    if bundle.id is null then
        return false;
    end if;
    select r.queries ->> bundle.operation into query from porchlight.rooms r where r.room = bundle.room;
    begin
        execute format($sql$
            with old_rows as (select * from %1$s where porchlight_bundle = $2 and not porchlight_is_new),
                new_rows as (select * from %1$s where porchlight_bundle = $2 and porchlight_is_new)
            insert into porchlight.outbox (id, line, broker_id, audience, type, module, record_id, user_id,
                version, data, changes, private, owner_id, previous, is_new_owner, is_truncated)
            overriding system value
            select $2, row_number() over (), told.* from (%2$s) told$sql$, bundle.room, query)
            using bundle.user_id, bundle.id;
    exception when others then
        insert into porchlight.outbox (id, line, module, failure) overriding system value
        values (bundle.id, 1, bundle.module,
            format('%s of many could not be told: %s (%s)', bundle.operation, sqlerrm, sqlstate));
    end;
    execute format('delete from %s where porchlight_bundle = $1', bundle.room) using bundle.id;
    return true;
end
$$;

-- Tables that are watched already get one too, if nothing is wrong with them.
do $$
declare
    watch porchlight.watches;
begin
    for watch in select * from porchlight.watches w where w.made_of = porchlight.made_of(w.watched) loop
        update porchlight.watches w set made_of = null where w.watched = watch.watched;
        update porchlight.watches w set made_of = watch.made_of where w.watched = watch.watched;
    end loop;
end
$$;
select porchlight.remember_record_words();
