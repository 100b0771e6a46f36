-- revision: 1
-- Adds to what a user and a brokerage have, and refuses what is one too many. The limits are settings of
-- the session, like `porchlight.tasks_per_user`; a session without them, such as that of psql, has no
-- limits. Without a holder, only the brokerage counts.
create or replace function porchlight.count_use(what text, broker text, holder text, change bigint)
    returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    owner text;
    total bigint;
    quota text;
    most  bigint;
begin
    -- The row of the brokerage is locked first. So transactions that count several users of one
    -- brokerage, in any order, do not wait for each other in a circle.
    foreach owner in array array['', holder] loop
        continue when owner is null;
        insert into porchlight.quota_use as q (broker_id, kind, user_id, used)
        values (broker, what, owner, greatest(change, 0))
        on conflict (broker_id, kind, user_id) do update set used = greatest(q.used + change, 0)
        returning q.used into total;
        quota := what || case owner when '' then '_per_brokerage' else '_per_user' end;
        most := nullif(current_setting('porchlight.' || quota, true), '')::bigint;
        if change > 0 and most > 0 and total > most then
            raise exception 'the limit of % is reached', quota
                using errcode = 'PLQ01', constraint = quota, detail = most::text;
        end if;
    end loop;
end
$$;
