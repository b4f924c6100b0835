-- Function trunkline.lost_findings(i_queue): the stretches of logs that a later provider never had (trunkline.lost), the newest
-- first.
--
-- Result: a row a stretch, as in the table, with changes: how many, tables: their names with the number of changes of each,
-- is_own: it is of this node's log, sent: the provider has them, too; whole is false, too, where the log does not tell any more
-- that nothing followed. No values of rows. Tables: reads lost, lost_change and node. Users: pgq_reader.
create or replace function trunkline.lost_findings(
    i_queue text default null,
    out queue_name text, out node_id bigint, out node_name text, out epoch bigint, out tick_id bigint, out tick_tag bigint,
    out upto_id bigint, out upto_tag bigint, out term bigint, out whole bool, out file text, out is_own bool, out changes bigint,
    out tables text, out found_at timestamptz, out sent bool, out handled_at timestamptz, out handled_by text, out handled_as jsonb)
returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select l.queue_name, l.node_id, l.node_name, l.epoch, l.tick_id, l.tick_tag, l.upto_id, l.upto_tag, l.term,
               l.whole and not (o.is_own and l.handled_at is null and trunkline.lacks_after(l.queue_name, l.upto_id)), l.file, o.is_own,
               coalesce((select sum(t.value::bigint)::bigint from jsonb_each_text(l.tables) t), 0),
               coalesce((select string_agg(format('%s %s', t.key, t.value), ', ' order by t.key) from jsonb_each_text(l.tables) t), ''),
               l.found_at, l.sent_at is not null, l.handled_at, l.handled_by, l.handled_as
          from trunkline.lost l
          cross join lateral (
               select l.node_id is not distinct from (select n.node_id from trunkline.node n) as is_own) o
         where i_queue is null or l.queue_name = i_queue
         order by l.found_at desc;
end
$$;
revoke all on function trunkline.lost_findings(text) from public;
do $$
begin
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'pgq_admin') then
        grant execute on function trunkline.lost_findings(text) to pgq_reader, pgq_admin;
    end if;
end
$$;
