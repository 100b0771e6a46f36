-- The CRM's own tables, with example data.
create table if not exists teams (id text primary key, broker_id text not null);
create table if not exists users (id text primary key, email text not null unique, name text not null,
    team_id text not null references teams);

-- The columns that the tables of all modules have.
create table if not exists record (
    id         uuid primary key default gen_random_uuid(),
    broker_id  text not null,
    team_id    text not null references teams,
    owner_id   text not null references users,
    version    integer not null default 1,
    updated_by text not null,
    created_at timestamptz not null default clock_timestamp()
);
create table if not exists escrows      (like record including all, address text, status text, price integer);
create table if not exists listings     (like record including all, address text, status text, price integer);
create table if not exists clients      (like record including all, name text, email text, phone text);
create table if not exists appointments (like record including all, title text, location text);
create table if not exists leads        (like record including all, name text, phone text, status text);

-- Ann and Bob are one team. Carol works for another brokerage.
insert into teams values ('acme-1', 'acme'), ('zenith-1', 'zenith') on conflict do nothing;
insert into users values
    ('u-ann', 'ann@acme.test', 'Ann', 'acme-1'),
    ('u-bob', 'bob@acme.test', 'Bob', 'acme-1'),
    ('u-carol', 'carol@zenith.test', 'Carol', 'zenith-1')
on conflict do nothing;
insert into escrows (broker_id, team_id, owner_id, updated_by, address, status, price)
select 'acme', 'acme-1', 'u-ann', 'u-ann', n || ' Oak St', 'open', 300000 + 1000 * n from generate_series(1, 50) n
where not exists (select from escrows);
