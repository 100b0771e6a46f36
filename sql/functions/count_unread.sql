-- revision: 1
-- How many notifications of a reader are unread, and whether the stored count is so old that it should be
-- stored again. `teams` has audiences (`team:<id>`), sorted.
create or replace function porchlight.count_unread(broker text, reader text, teams text[],
        out unread bigint, out is_behind boolean)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    book  porchlight.notification_books;
    mark  porchlight.notification_marks;
    after bigint := 0;
begin
    select * into book from porchlight.notification_books b where b.broker_id = broker;
    select * into mark from porchlight.notification_marks m
    where m.broker_id = broker and m.user_id = reader;
    unread := 0;
    if mark.counted_teams = teams and mark.counted_removals = book.removals then
        unread := mark.counted;
        after := mark.counted_up_to;
    end if;
    is_behind := coalesce(book.last_id, 0) - after >= 256;
    unread := unread + porchlight.unread_between(broker, reader, teams,
        greatest(after, coalesce(mark.read_up_to, 0)), 9223372036854775807);
end
$$;
