-- revision: 1
-- Two views on the tables of records.

-- The rules of the tables, from the names of their constraints.
create or replace view porchlight.record_rules as
    select t.module, c.conname as rule, a.attname as "column", porchlight.camel_case(a.attname) as name,
        substr(c.conname, length(r.relname || '_' || a.attname || '_') + 1) as what,
        pg_get_constraintdef(c.oid) as definition,
        obj_description(c.oid, 'pg_constraint') as reason
    from porchlight.record_tables t
    join pg_class r on r.oid = t.records
    join pg_constraint c on c.conrelid = r.oid and c.contype = 'c'
    join pg_attribute a on a.attrelid = r.oid and a.attnum = any (c.conkey)
        and starts_with(c.conname, r.relname || '_' || a.attname || '_');

-- The fields of records, for forms, importers and parsers.
create or replace view porchlight.record_fields as
    select t.module, c.attnum as place, c.name::text as "column", porchlight.camel_case(c.name) as name,
        case c.type
            when 'text'::regtype then 'text'
            when 'text[]'::regtype then 'texts'
            when 'numeric'::regtype then 'number'
            when 'integer'::regtype then 'integer'
            when 'bigint'::regtype then 'integer'
            when 'boolean'::regtype then 'boolean'
            when 'date'::regtype then 'date'
            when 'timestamptz'::regtype then 'timestamp'
        end as type,
        -- Who writes it: anybody, the creator of the record, or the database.
        case when c.name = 'id' then 'creator'
            when c.name in ('version', 'created_at', 'updated_at', 'archived_at') then 'database'
            else 'anybody' end as writer,
        a.attnotnull as is_kept,
        a.attnotnull and not a.atthasdef as is_required,
        'private' = any (c.roles) as is_private,
        (select array_agg(v[1] order by n) from porchlight.record_rules k
             cross join regexp_matches(k.definition, '''([^'']+)''::text', 'g') with ordinality as m(v, n)
         where k.module = t.module and k."column" = c.name and k.what = 'known') as allowed,
        (select substring(k.definition from '>= \(?''?(-?[0-9]+)')::bigint
         from porchlight.record_rules k where k.module = t.module and k."column" = c.name
             and k.what in ('length', 'range')) as least,
        (select substring(k.definition from '<= \(?''?(-?[0-9]+)')::bigint
         from porchlight.record_rules k where k.module = t.module and k."column" = c.name
             and k.what in ('length', 'range')) as most,
        (select substring(k.definition from '<= \(?''?(-?[0-9]+)')::integer
         from porchlight.record_rules k where k.module = t.module and k."column" = c.name
             and k.what = 'scale') as scale
    from porchlight.record_tables t
    cross join porchlight.columns_of(t.records) c
    join pg_attribute a on a.attrelid = t.records and a.attnum = c.attnum
    where not c.roles && '{hidden,broker,actor}';
