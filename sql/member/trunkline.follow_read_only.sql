-- Function trunkline.follow_read_only(): switches default_transaction_read_only of this database on while none of its
-- queues takes writes here and each of their fences wants the setting, and back to what it was when one does again.
--
-- By this setting clients find the provider (target_session_attrs=read-write); it keeps nobody out: sessions that are
-- open go on writing, and every session may switch it off. A setting that somebody else made is left alone.
-- Result: whether the setting is on by a fence now; false also where this function's owner may not make it (it must own
-- the database). Tables: reads trunkline.role and pgq.queue; writes trunkline.node; alters the database.
create or replace function trunkline.follow_read_only() returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_wanted bool;
    v_before text;
    v_now    text;
begin
    select n.read_only_before into v_before from trunkline.node n for update;
    v_wanted := exists (select from trunkline.role r where r.role in ('fenced', 'standby') and r.read_only)
        and not exists (select from trunkline.role r where r.role = 'provider' or not r.read_only);
    if v_wanted and to_regclass('trunkline.captured') is not null then
        -- Queues without a role, whose tables are written here.
        v_wanted := not exists (select from trunkline.captured c join pgq.queue q on q.queue_id = c.queue_id
                                 where c.dropped_at is null
                                   and not exists (select from trunkline.role r where r.queue_name = q.queue_name));
    end if;
    if v_wanted = (v_before is not null) then
        return v_wanted;
    elsif not (select pg_has_role(current_user, d.datdba, 'USAGE')
                 from pg_database d where d.datname = current_database()) then
        return false;
    end if;
    if v_wanted then
        v_now := coalesce((select substr(c.setting, length('default_transaction_read_only=') + 1)
                             from pg_db_role_setting s
                             join pg_database d on d.oid = s.setdatabase
                             cross join lateral unnest(s.setconfig) c (setting)
                            where d.datname = current_database() and s.setrole = 0
                              and c.setting like 'default\_transaction\_read\_only=%'), '');
        if v_now in ('on', 'true', 'yes', '1') then
            return false;
        end if;
        execute format('alter database %I set default_transaction_read_only = on', current_database());
        update trunkline.node n set read_only_before = v_now;
        return true;
    end if;
    if v_before = '' then
        execute format('alter database %I reset default_transaction_read_only', current_database());
    else
        execute format('alter database %I set default_transaction_read_only = %L', current_database(), v_before);
    end if;
    update trunkline.node n set read_only_before = null;
    return false;
end
$$;
revoke all on function trunkline.follow_read_only() from public;
