-- Function trunkline.event_now(i_type text, i_txid bigint, i_extra2 text, i_extra3 text): what the provider knows now about
-- an event of its own, which was not known when the event was written. Arguments: the event's ev_type, ev_txid, ev_extra2
-- and ev_extra3.
-- Result:
--   of a shape            the definition of the last shape that its transaction gave to the same table, if that is another
--                         shape, with `made_of` (trunkline.shape) beside it
--   of a mark "filled"    the numbers of the table's columns that take no null, with a space between them
--   of all other events   null
-- A function, since replay's COPY is planned anew for each batch: a session plans these questions at most once, and not at
-- all as long as no such event comes.
-- Tables: reads trunkline.shape, by its indexes: a thousand tables that are added have a thousand such events. Users: pgq_admin.
create or replace function trunkline.event_now(i_type text, i_txid bigint, i_extra2 text, i_extra3 text) returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_shape bigint := case when i_extra2 ~ '^[0-9]{1,18}$' then i_extra2::bigint end;
begin
    if i_type = 'trunkline.1.shape' then
        return (select (l.definition || case when l.made_of is null then '{}'
                                             else jsonb_build_object('made_of', l.made_of) end)::text
                  from trunkline.shape s
                  join trunkline.shape l on l.table_oid = s.table_oid and l.queue_id = s.queue_id and l.shape_id > s.shape_id
                 where s.logged_txid = i_txid and l.logged_txid = i_txid and s.shape_id = v_shape
                 order by l.shape_id desc limit 1);
    elsif i_type = 'trunkline.1.mark' and i_extra3 = 'filled' then
        return (select string_agg(a.attnum::text, ' ')
                  from trunkline.shape s
                  join pg_attribute a on a.attrelid = s.table_oid and a.attnum > 0 and a.attnotnull
                 where s.shape_id = v_shape);
    end if;
    return null;
end
$$;
revoke all on function trunkline.event_now(text, bigint, text, text) from public;
grant execute on function trunkline.event_now(text, bigint, text, text) to pgq_admin;
