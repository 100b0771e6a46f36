-- revision: 1
-- Fails if a column cannot have its role.
create or replace function porchlight.refuse_columns(watched regclass)
    returns void
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    bad record;
begin
    select c.role, c.name, c.type::regtype as type, k.kind into bad
    from (
        select r.role, c.name, case when t.typtype = 'd' then t.typbasetype else t.oid end as type,
            t.typtype = 'e' as is_enum
        from porchlight.columns_of(watched) c cross join unnest(c.roles) as r(role)
        join pg_type t on t.oid = c.type
    ) c
    join (
        values ('version', '{smallint,integer,bigint}'::regtype[], 'a whole number'),
            ('archived', '{boolean,timestamptz,timestamp,date}', 'a time or a boolean'),
            ('id', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('broker', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('team', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('owner', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid'),
            ('actor', '{text,varchar,bpchar,name,smallint,integer,bigint,uuid}',
                'a text, a whole number or a uuid')
    ) k (role, types, kind) on k.role = c.role
    where c.type <> all (k.types)
    order by c.role limit 1;
    if bad.role is not null then
        raise exception '%_column => % must be %, not %', bad.role, bad.name, bad.kind, bad.type;
    end if;

    select c.name, r.role into bad
    from porchlight.columns_of(watched) c cross join unnest(c.roles) as r(role)
    where 'private' = any (c.roles) and r.role in ('id', 'version', 'actor') limit 1;
    if bad.role is not null then
        raise exception '% cannot be private', bad.name
            using hint = format('It is the %s_column, which is part of every event.',
                bad.role);
    end if;
end
$$;
