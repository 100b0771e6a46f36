-- A search finds large and small letters alike, also where the database's locale knows none but
-- those of ASCII: the words say themselves which letters they mean.

-- A page of the records that people on `teams` may see. `wanted` has `equal` (values by
-- column), `is_away`, `words` (regular expressions, each of which must match in one of the
-- columns `searched`), `sort` (a column), `descending`, and where the page before ended: `after_id`
-- and `after`, the value there.
--
-- It is stable, so that it sees what the statement that calls it sees.
create or replace function porchlight.records_page(
        module text, broker text, teams text[], wanted jsonb, most integer)
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
    return query execute format('select %s from %s n
        where n.broker_id = $1 and (n.team_id is null or n.team_id = any ($2)) %s
        order by %s %s nulls last, n.id collate "C" limit $4',
        l.list, l.records, conditions, key,
        case when (wanted ->> 'descending')::boolean then 'desc' else 'asc' end)
        using broker, teams, wanted, most;
end
$$;
