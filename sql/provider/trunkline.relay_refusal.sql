-- Function trunkline.relay_refusal(i_table oid, i_writers text[]): why capture cannot log what replay of this
-- database writes to a table; no row if it can.
-- Arguments: i_writers the consumers that write it (trunkline.writers_of).
-- Result: code (SQLSTATE), reason (goes behind the table's name), hint.
-- Tables: reads the catalog, trunkline.position. Users must not: nothing to fear.
create or replace function trunkline.relay_refusal(
    i_table oid,
    i_writers text[],
    out code text,
    out reason text,
    out hint text)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_jobs   text := array_to_string(i_writers, ', ');
    v_owners text;
begin
    if i_writers = '{}' then
        return;
    end if;
    select string_agg(distinct pg_get_userbyid(c.relowner), ', ') into v_owners
      from (select i_table as oid union all select p.part_oid from trunkline.parts(i_table) p) t
      join pg_class c on c.oid = t.oid
     where not pg_has_role(c.relowner, 'USAGE');
    if not trunkline.knows_writers() then
        code := '55000';
        reason := format('is written by replication job %s, whose objects here are of an older version', v_jobs);
        hint := 'Run `replay install` for that job first.';
    elsif exists (select from trunkline.position p where p.consumer = any (i_writers) and p.session_role = 'origin') then
        code := '0A000';
        reason := format('is written by replication job %s in ordinary sessions', v_jobs);
        hint := 'What a job writes can be replicated on if it has session_role = "replica" in its config.';
    elsif v_owners is not null then
        code := '42501';
        reason := format('is written by replication job %s, and only its owner may have triggers fire for that', v_jobs);
        hint := format('GRANT %s TO %I, or install Trunkline here as a superuser.', v_owners, current_user);
    else
        return;
    end if;
    return next;
end
$$;
revoke all on function trunkline.relay_refusal(oid, text[]) from public;
