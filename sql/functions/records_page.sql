-- revision: 1
-- A page of the records that people on `teams` may see. `wanted` has `equal` (values by column), `is_away`,
-- `words` (regular expressions, each of which must match in one of the columns `searched`), `sort` (a
-- column), `descending`, and where the previous page ended: `after_id`, and `after`, the value there. The page
-- is limited and cut like the result of `events_page`.
--
-- The function is stable, so that it has the snapshot of the statement that calls it.
create or replace function porchlight.records_page(
        module text, broker text, teams text[], wanted jsonb, most bigint, most_bytes bigint)
    returns setof porchlight.record_row
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- JSON as capture writes it.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l          record := porchlight.record_list(module);
    -- The sort key, as a format for a column or for a text.
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
        -- If the column is never null, an index finds the place.
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
