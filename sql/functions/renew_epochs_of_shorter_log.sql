-- revision: 1
-- Renews the epochs if a log is shorter than an instance has seen it: the database has lost events, for example because
-- its disk was set back while the instance ran. Returns whether it is.
create or replace function porchlight.renew_epochs_of_shorter_log(broker text, epoch text, seen bigint) returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- Another instance that saw it may have renewed them just now.
    perform from porchlight.origin for update;
    if exists (
        select from porchlight.brokers b
        where b.broker_id = renew_epochs_of_shorter_log.broker and b.epoch = renew_epochs_of_shorter_log.epoch
            and b.head < seen)
    then
        perform porchlight.renew_epochs();
        return true;
    end if;
    return false;
end
$$;
