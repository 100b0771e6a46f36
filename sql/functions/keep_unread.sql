-- revision: 1
-- The same count as `count_unread`, stored if it should be. The caller holds the row locks of the reader's mark
-- and of the brokerage's book, whose newest notification is `upto` (0: there is no book).
create or replace function porchlight.keep_unread(broker text, reader text, teams text[], upto bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    now record := porchlight.count_unread(broker, reader, teams);
begin
    if now.is_behind and upto > 0 then
        update porchlight.notification_marks m
        set counted = now.unread, counted_up_to = upto, counted_teams = keep_unread.teams,
            counted_removals = b.removals
        from porchlight.notification_books b
        where b.broker_id = broker and m.broker_id = broker and m.user_id = reader;
    end if;
    return now.unread;
end
$$;
