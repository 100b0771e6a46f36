-- Records, for users who have no tables of their own: five tables like those of a CRM, watched like any
-- other table. The service reads from the database which module is in which table and which fields it
-- has. Only this file has their names.
--
-- Constraints are named `<table>_<column>_<rule>`, so that a violation names its field. The rule `known`
-- lists all values; `length`, `range` and `scale` limit them. Every other rule has a comment that says
-- what the value must be.

-- The tables. When the functions have been applied, `set_up_record_tables` watches each new one.
create table porchlight.record_tables (
    module          text primary key,
    records         regclass not null unique,
    -- Expressions over the row `n`: the record as everybody sees it, and its private fields; and what
    -- the expressions were made of. Null until the table has been watched.
    told            text,
    secrets         text,
    made_of         text,
    -- The private columns with which the table is watched at first.
    private_columns text[] not null
);

-- A record as a request sees it: the part for everybody, and the private part.
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
    -- By column: the version with its last change. Columns that never changed are not in it.
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

insert into porchlight.record_tables (module, records, private_columns)
values ('escrows', 'porchlight.escrows', '{commission}'),
    ('listings', 'porchlight.listings', '{commission_rate}'),
    ('clients', 'porchlight.clients', '{notes}'),
    ('appointments', 'porchlight.appointments', '{notes}'),
    ('leads', 'porchlight.leads', '{notes}');

-- What all of them have in common.
do $$
declare
    t porchlight.record_tables;
begin
    for t in select * from porchlight.record_tables loop
        -- An owner is a user: 1 to 128 printable ASCII characters, without a space at either end.
        execute format($sql$
            alter table %1$s
                add constraint %2$I check (broker_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %3$I check (id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %4$I check (team_id ~ '^[A-Za-z0-9_.:-]{1,64}$'),
                add constraint %5$I check (owner_id ~ '^[!-~]([ -~]{0,126}[!-~])?$')$sql$,
            t.records, t.module || '_broker_id_form', t.module || '_id_form',
            t.module || '_team_id_form', t.module || '_owner_id_form');
        -- Lists are sorted by this, unless the request says otherwise.
        execute format('create index %I on %s (broker_id, created_at desc nulls last, id collate "C")',
            t.module || '_newest', t.records);
    end loop;
end
$$;
