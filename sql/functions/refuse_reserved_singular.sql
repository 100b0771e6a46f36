-- revision: 1
-- Fails if the events of a watched table would have reserved types.
create or replace function porchlight.refuse_reserved_singular()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    if porchlight.is_reserved_type(new.singular || ':created') then
        raise exception 'types like %:created are reserved: only Porchlight itself publishes them', new.singular
            using errcode = 'invalid_parameter_value', hint = 'Name another singular.';
    end if;
    return new;
end
$$;

revoke execute on function porchlight.refuse_reserved_singular() from public;

create or replace trigger reserved_singular before insert or update of singular on porchlight.watches
    for each row execute function porchlight.refuse_reserved_singular();
