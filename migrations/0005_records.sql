-- Records for those who have no tables of their own: five tables as a CRM has them, watched like
-- any other. Which module is in which table, and which fields there are, is read from the
-- database; nothing outside of this file knows one of them by its name.
--
-- A constraint is called `<table>_<column>_<what>`, so that a violation names its field:
-- `known` lists all values, `length`, `range` and `scale` bound them; of any other, a comment
-- says in words what must be.

create table porchlight.record_tables (
    module   text primary key,
    records  regclass not null unique,
    -- A record as it is told, and its private part: expressions over the row `n`, and what they
    -- were made of.
    told     text,
    secrets  text,
    made_of  text
);

create table porchlight.escrows (
    broker_id      text not null,
    id             text not null,
    version        bigint not null default 1,
    team_id        text,
    owner_id       text,
    created_at     timestamptz not null default statement_timestamp(),
    updated_at     timestamptz not null default statement_timestamp(),
    archived_at    timestamptz,
    updated_by     text default nullif(current_setting('porchlight.user_id', true), ''),
    -- By column, the version that it was changed in last, if it ever was.
    field_versions jsonb not null default '{}',
    address        text not null,
    city           text,
    state          text,
    zip            text,
    status         text not null default 'open',
    purchase_price numeric,
    earnest_money  numeric,
    commission     numeric,
    open_date      date,
    close_date     date,
    buyer_name     text,
    seller_name    text,
    title_company  text,
    notes          text,
    constraint escrows_pkey primary key (broker_id, id),
    constraint escrows_address_length check (char_length(address) between 1 and 300),
    constraint escrows_city_length check (char_length(city) <= 100),
    constraint escrows_state_length check (char_length(state) <= 50),
    constraint escrows_zip_length check (char_length(zip) <= 20),
    constraint escrows_status_known check
        (status in ('open', 'pending', 'contingent', 'closed', 'cancelled')),
    constraint escrows_purchase_price_range check (purchase_price between 0 and 1000000000000),
    constraint escrows_purchase_price_scale check (scale(purchase_price) <= 2),
    constraint escrows_earnest_money_range check (earnest_money between 0 and 1000000000000),
    constraint escrows_earnest_money_scale check (scale(earnest_money) <= 2),
    constraint escrows_commission_range check (commission between 0 and 1000000000000),
    constraint escrows_commission_scale check (scale(commission) <= 2),
    constraint escrows_close_date_order check (close_date >= open_date),
    constraint escrows_buyer_name_length check (char_length(buyer_name) <= 200),
    constraint escrows_seller_name_length check (char_length(seller_name) <= 200),
    constraint escrows_title_company_length check (char_length(title_company) <= 200),
    constraint escrows_notes_length check (char_length(notes) <= 5000)
);
comment on constraint escrows_close_date_order on porchlight.escrows is
    'must not be before openDate';

create table porchlight.listings (
    broker_id       text not null,
    id              text not null,
    version         bigint not null default 1,
    team_id         text,
    owner_id        text,
    created_at      timestamptz not null default statement_timestamp(),
    updated_at      timestamptz not null default statement_timestamp(),
    archived_at     timestamptz,
    updated_by      text default nullif(current_setting('porchlight.user_id', true), ''),
    field_versions  jsonb not null default '{}',
    address         text not null,
    city            text,
    state           text,
    zip             text,
    status          text not null default 'active',
    list_price      numeric,
    sold_price      numeric,
    commission_rate numeric,
    bedrooms        integer,
    bathrooms       numeric,
    square_feet     integer,
    year_built      integer,
    mls_number      text,
    listed_on       date,
    sold_on         date,
    description     text,
    constraint listings_pkey primary key (broker_id, id),
    constraint listings_address_length check (char_length(address) between 1 and 300),
    constraint listings_city_length check (char_length(city) <= 100),
    constraint listings_state_length check (char_length(state) <= 50),
    constraint listings_zip_length check (char_length(zip) <= 20),
    constraint listings_status_known check
        (status in ('coming_soon', 'active', 'pending', 'sold', 'withdrawn', 'expired')),
    constraint listings_list_price_range check (list_price between 0 and 1000000000000),
    constraint listings_list_price_scale check (scale(list_price) <= 2),
    constraint listings_sold_price_range check (sold_price between 0 and 1000000000000),
    constraint listings_sold_price_scale check (scale(sold_price) <= 2),
    constraint listings_commission_rate_range check (commission_rate between 0 and 100),
    constraint listings_commission_rate_scale check (scale(commission_rate) <= 3),
    constraint listings_bedrooms_range check (bedrooms between 0 and 1000),
    constraint listings_bathrooms_range check (bathrooms between 0 and 1000),
    constraint listings_bathrooms_scale check (scale(bathrooms) <= 2),
    constraint listings_square_feet_range check (square_feet between 0 and 100000000),
    constraint listings_year_built_range check (year_built between 1000 and 3000),
    constraint listings_mls_number_length check (char_length(mls_number) <= 50),
    constraint listings_sold_on_order check (sold_on >= listed_on),
    constraint listings_description_length check (char_length(description) <= 5000)
);
comment on constraint listings_sold_on_order on porchlight.listings is
    'must not be before listedOn';

create table porchlight.clients (
    broker_id      text not null,
    id             text not null,
    version        bigint not null default 1,
    team_id        text,
    owner_id       text,
    created_at     timestamptz not null default statement_timestamp(),
    updated_at     timestamptz not null default statement_timestamp(),
    archived_at    timestamptz,
    updated_by     text default nullif(current_setting('porchlight.user_id', true), ''),
    field_versions jsonb not null default '{}',
    name           text not null,
    email          text,
    phone          text,
    status         text not null default 'active',
    kind           text not null default 'buyer',
    budget_min     numeric,
    budget_max     numeric,
    tags           text[],
    birthday       date,
    notes          text,
    constraint clients_pkey primary key (broker_id, id),
    constraint clients_name_length check (char_length(name) between 1 and 200),
    constraint clients_email_length check (char_length(email) <= 320),
    constraint clients_email_form check (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    constraint clients_phone_length check (char_length(phone) <= 50),
    constraint clients_status_known check (status in ('active', 'inactive', 'past')),
    constraint clients_kind_known check (kind in ('buyer', 'seller', 'both')),
    constraint clients_budget_min_range check (budget_min between 0 and 1000000000000),
    constraint clients_budget_min_scale check (scale(budget_min) <= 2),
    constraint clients_budget_max_range check (budget_max between 0 and 1000000000000),
    constraint clients_budget_max_scale check (scale(budget_max) <= 2),
    constraint clients_budget_max_order check (budget_max >= budget_min),
    constraint clients_tags_length check (cardinality(tags) <= 50),
    constraint clients_tags_words check (coalesce(array_ndims(tags), 1) = 1
        and array_position(tags, null) is null and char_length(array_to_string(tags, '')) <= 1000),
    constraint clients_notes_length check (char_length(notes) <= 5000)
);
comment on constraint clients_email_form on porchlight.clients is
    'must be an address like ann@example.com';
comment on constraint clients_budget_max_order on porchlight.clients is
    'must not be less than budgetMin';
comment on constraint clients_tags_words on porchlight.clients is
    'must be texts of together 1000 characters at the most';

create table porchlight.appointments (
    broker_id      text not null,
    id             text not null,
    version        bigint not null default 1,
    team_id        text,
    owner_id       text,
    created_at     timestamptz not null default statement_timestamp(),
    updated_at     timestamptz not null default statement_timestamp(),
    archived_at    timestamptz,
    updated_by     text default nullif(current_setting('porchlight.user_id', true), ''),
    field_versions jsonb not null default '{}',
    title          text not null,
    status         text not null default 'scheduled',
    kind           text not null default 'meeting',
    starts_at      timestamptz,
    ends_at        timestamptz,
    location       text,
    client_id      text,
    notes          text,
    constraint appointments_pkey primary key (broker_id, id),
    constraint appointments_title_length check (char_length(title) between 1 and 200),
    constraint appointments_status_known check
        (status in ('scheduled', 'confirmed', 'completed', 'cancelled', 'no_show')),
    constraint appointments_kind_known check
        (kind in ('showing', 'open_house', 'inspection', 'signing', 'meeting')),
    constraint appointments_ends_at_order check (ends_at > starts_at),
    constraint appointments_location_length check (char_length(location) <= 300),
    constraint appointments_client_id_form check (client_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    constraint appointments_notes_length check (char_length(notes) <= 5000)
);
comment on constraint appointments_ends_at_order on porchlight.appointments is
    'must be after startsAt';
comment on constraint appointments_client_id_form on porchlight.appointments is
    'must be 1 to 64 characters from A-Z a-z 0-9 _ - . :';

create table porchlight.leads (
    broker_id      text not null,
    id             text not null,
    version        bigint not null default 1,
    team_id        text,
    owner_id       text,
    created_at     timestamptz not null default statement_timestamp(),
    updated_at     timestamptz not null default statement_timestamp(),
    archived_at    timestamptz,
    updated_by     text default nullif(current_setting('porchlight.user_id', true), ''),
    field_versions jsonb not null default '{}',
    name           text not null,
    email          text,
    phone          text,
    status         text not null default 'new',
    source         text,
    score          integer,
    interest       text,
    budget         numeric,
    follow_up_on   date,
    notes          text,
    constraint leads_pkey primary key (broker_id, id),
    constraint leads_name_length check (char_length(name) between 1 and 200),
    constraint leads_email_length check (char_length(email) <= 320),
    constraint leads_email_form check (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    constraint leads_phone_length check (char_length(phone) <= 50),
    constraint leads_status_known check
        (status in ('new', 'contacted', 'qualified', 'converted', 'lost')),
    constraint leads_source_length check (char_length(source) <= 100),
    constraint leads_score_range check (score between 0 and 100),
    constraint leads_interest_length check (char_length(interest) <= 300),
    constraint leads_budget_range check (budget between 0 and 1000000000000),
    constraint leads_budget_scale check (scale(budget) <= 2),
    constraint leads_notes_length check (char_length(notes) <= 5000)
);
comment on constraint leads_email_form on porchlight.leads is
    'must be an address like ann@example.com';

-- Whoever changes a record raises its version, and no change is none.
create function porchlight.keep_record()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    changed text[];
begin
    new.broker_id := old.broker_id;
    new.id := old.id;
    new.version := old.version;
    new.created_at := old.created_at;
    new.updated_at := old.updated_at;
    new.field_versions := old.field_versions;
    select array_agg(n.key) into changed
    from jsonb_each(to_jsonb(new)) n join jsonb_each(to_jsonb(old)) o using (key)
    where n.value is distinct from o.value and n.key <> 'updated_by';
    if changed is null then
        return old;
    end if;
    if new.updated_by is not distinct from old.updated_by then
        new.updated_by := nullif(current_setting('porchlight.user_id', true), '');
    end if;
    new.version := old.version + 1;
    new.updated_at := clock_timestamp();
    new.field_versions := old.field_versions
        || (select jsonb_object_agg(name, new.version) from unnest(changed) as c(name));
    return new;
end
$$;

-- What the service itself keeps is no table of the CRM, except for the records.
create or replace function porchlight.refuse_table(watched regclass)
    returns void
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    class pg_class;
begin
    select * into class from pg_class c where c.oid = watched;
    if class.oid is null then
        raise exception 'there is no table with the oid %', watched::oid;
    elsif class.relkind not in ('r', 'p') then
        raise exception '% is no table', watched
            using hint = 'Watch the table whose rows it shows.';
    elsif class.relpersistence = 't' then
        raise exception '% is temporary', watched;
    elsif class.relnamespace in ('porchlight'::regnamespace, 'pg_catalog'::regnamespace)
            and not exists (select from porchlight.record_tables t where t.records = watched) then
        raise exception '% is not a table of the CRM', watched;
    end if;
end
$$;

-- What the five have in common.
do $$
declare
    module  text;
    private text;
begin
    for module, private in values ('escrows', 'commission'), ('listings', 'commission_rate'),
            ('clients', 'notes'), ('appointments', 'notes'), ('leads', 'notes') loop
        execute format($sql$
            alter table porchlight.%1$I
                add constraint %2$I check (broker_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %3$I check (id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %4$I check (team_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %5$I check (owner_id ~ '^[A-Za-z0-9_.:-]{1,64}$')$sql$,
            module, module || '_broker_id_form', module || '_id_form',
            module || '_team_id_form', module || '_owner_id_form');
        -- The newest first is what lists begin with.
        execute format('create index %I on porchlight.%I (broker_id, created_at desc nulls last,
            id collate "C")',
            module || '_newest', module);
        execute format('create trigger keep_record before update on porchlight.%I
            for each row execute function porchlight.keep_record()', module);
        insert into porchlight.record_tables (module, records)
        values (module, format('porchlight.%I', module));
        perform porchlight.watch(format('porchlight.%I', module), module => module,
            broker_column => 'broker_id', team_column => 'team_id', owner_column => 'owner_id',
            version_column => 'version', archived_column => 'archived_at',
            actor_column => 'updated_by', private_columns => array[private],
            hidden_columns => '{broker_id,updated_by,field_versions}');
    end loop;
end
$$;

-- A record as requests see it: what everybody is told, and what takes the place of that for
-- those with the right.
create type porchlight.record_row as (
    id             text,
    told           text,
    secrets        text,
    team_id        text,
    owner_id       text,
    version        bigint,
    is_archived    boolean,
    field_versions text
);

-- What the words for a record depend on: how its table is watched, and its columns.
create function porchlight.record_words_made_of(records regclass)
    returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select w.created_at || w.xmin::text || porchlight.made_of(records)
    from porchlight.watches w where w.watched = records
$$;

-- Remembers the words for records, where they are not those of before.
create function porchlight.remember_record_words()
    returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    update porchlight.record_tables t
    set told = p.record, secrets = p.secrets, made_of = porchlight.record_words_made_of(t.records)
    from porchlight.watches w cross join lateral porchlight.capture_parts(w) p
    where w.watched = t.records
        and t.made_of is distinct from porchlight.record_words_made_of(t.records)
$$;
select porchlight.remember_record_words();

-- A module's table, and the select list of a record with the very words by which capture tells
-- of it.
create function porchlight.record_list(module text, out records regclass, out list text)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    t     porchlight.record_tables;
    fresh porchlight.capture_parts;
begin
    select * into strict t from porchlight.record_tables r where r.module = record_list.module;
    if t.made_of is distinct from porchlight.record_words_made_of(t.records) then
        select p.* into fresh
        from porchlight.watches w cross join lateral porchlight.capture_parts(w) p
        where w.watched = t.records;
        -- A table that is watched no more keeps its secrets.
        if fresh.record is not null then
            t.told := fresh.record;
            t.secrets := fresh.secrets;
        end if;
    end if;
    records := t.records;
    list := format('n.id, (%s)::text, (%s)::text, n.team_id, n.owner_id, n.version,
        n.archived_at is not null, n.field_versions::text', t.told, t.secrets);
end
$$;

-- One record.
create function porchlight.read_record(module text, broker text, id text)
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
    l record := porchlight.record_list(module);
begin
    return query execute format('select %s from %s n where n.broker_id = $1 and n.id = $2',
        l.list, l.records) using broker, id;
end
$$;

-- The same, for a change: it is the transaction's to its end.
create function porchlight.take_record(module text, broker text, id text)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l record := porchlight.record_list(module);
begin
    return query execute format('select %s from %s n where n.broker_id = $1 and n.id = $2
        for update', l.list, l.records) using broker, id;
end
$$;

-- Makes a record of values by column.
create function porchlight.insert_record(module text, broker text, fields jsonb)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l       record := porchlight.record_list(module);
    columns text;
    given   text;
begin
    select string_agg(format(', %I', k), '' order by k),
        string_agg(format(', p.%I', k), '' order by k)
        into columns, given
    from jsonb_object_keys(fields) as k;
    return query execute format('with n as (
            insert into %1$s as n (broker_id%2$s)
            select $1%3$s from jsonb_populate_record(null::%1$s, $2) p
            returning n.*
        ) select %4$s from n', l.records, columns, given, l.list) using broker, fields;
end
$$;

-- Changes the columns that `fields` has, which are some.
create function porchlight.patch_record(module text, broker text, id text, fields jsonb)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l       record := porchlight.record_list(module);
    changes text;
begin
    select string_agg(format('%1$I = p.%1$I', k), ', ' order by k) into changes
    from jsonb_object_keys(fields) as k;
    return query execute format('with n as (
            update %1$s as n set %2$s
            from jsonb_populate_record(null::%1$s, $3) p
            where n.broker_id = $1 and n.id = $2
            returning n.*
        ) select %3$s from n', l.records, changes, l.list) using broker, id, fields;
end
$$;

-- Puts a record away, or brings it back.
create function porchlight.archive_record(module text, broker text, id text, is_away boolean)
    returns setof porchlight.record_row
    language plpgsql
    set search_path = pg_catalog, pg_temp
    -- As capture writes JSON.
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set extra_float_digits = 1
as $$
declare
    l record := porchlight.record_list(module);
begin
    return query execute format('with n as (
            update %1$s as n
            set archived_at = case when $3 then coalesce(n.archived_at, clock_timestamp()) end
            where n.broker_id = $1 and n.id = $2
            returning n.*
        ) select %2$s from n', l.records, l.list) using broker, id, is_away;
end
$$;

-- Removes a record.
create function porchlight.delete_record(module text, broker text, id text)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    l record := porchlight.record_list(module);
begin
    execute format('delete from %s n where n.broker_id = $1 and n.id = $2', l.records)
        using broker, id;
end
$$;

-- A page of the records that people on `teams` may see. `wanted` has `equal` (values by
-- column), `is_away`, `words` (regular expressions, each of which must match in one of the
-- columns `searched`), `sort` (a column), `descending`, and where the page before ended: `after_id`
-- and `after`, the value there.
--
-- It is stable, so that it sees what the statement that calls it sees.
create function porchlight.records_page(
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

-- The rules of the tables, by the names of their constraints.
create view porchlight.record_rules as
    select t.module, c.conname as rule, a.attname as "column", porchlight.camel_case(a.attname) as name,
        substr(c.conname, length(r.relname || '_' || a.attname || '_') + 1) as what,
        pg_get_constraintdef(c.oid) as definition,
        obj_description(c.oid, 'pg_constraint') as reason
    from porchlight.record_tables t
    join pg_class r on r.oid = t.records
    join pg_constraint c on c.conrelid = r.oid and c.contype = 'c'
    join pg_attribute a on a.attrelid = r.oid and a.attnum = any (c.conkey)
        and starts_with(c.conname, r.relname || '_' || a.attname || '_');

-- The fields of the records: what forms, importers and parsers need to know of them.
create view porchlight.record_fields as
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
        -- Who writes it: anybody, whoever makes the record, or the database.
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
