-- Function trunkline.table_mark(i_table oid): what a subscriber's table is to replay, as far as that decides who runs the code on
-- it: "NUMBER OWNER STANDING". A table that still has its mark is written in the way that was found when it was looked up.
--
-- Standing: ours      the current role owns it, and it is no partitioned table: written directly
--           own       a superuser owns it, or the current role a partitioned one, and all of its partitions: written directly
--           mixed     of such a table, a partition is another role's
--           member    another role owns it, which the current role is a member of: written by trunkline.as_owner
--           stranger  another role owns it: written directly, as long as nothing on it is code of others
-- Result: null where there is no such table.
-- Tables: reads the catalog only.
create or replace function trunkline.table_mark(i_table oid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_owner   oid;
    v_trusted bool;
    v_parted  bool;
    v_mixed   bool := false;
    v_ours    bool;
begin
    select c.relowner, r.rolsuper or r.rolname = current_user, c.relkind = 'p', r.rolname = current_user and c.relkind = 'r'
      into v_owner, v_trusted, v_parted, v_ours
      from pg_class c join pg_roles r on r.oid = c.relowner
     where c.oid = i_table and c.relkind in ('r', 'p');
    if not found then
        return null;
    end if;
    if v_trusted and v_parted then
        with recursive tree (oid) as (
            select i_table
            union all
            select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.oid
        )
        select exists (select from tree join pg_class c on c.oid = tree.oid join pg_roles r on r.oid = c.relowner
                        where not r.rolsuper and r.rolname <> current_user)
          into v_mixed;
    end if;
    return concat(i_table, ' ', v_owner, ' ', case
        when v_ours then 'ours'
        when v_mixed then 'mixed'
        when v_trusted then 'own'
        when pg_has_role(v_owner, 'USAGE') and case when current_setting('server_version_num')::int >= 160000
                                                    then pg_has_role(v_owner, 'SET') else true end then 'member'
        else 'stranger' end);
end
$$;
revoke all on function trunkline.table_mark(oid) from public;

-- Function trunkline.hold_tables(i_tables text[], i_marks text[], i_mode text): locks a subscriber's tables until the transaction
-- ends, and sees that each is to replay what it was when it was looked up.
--
-- Arguments: the tables' quoted names, their marks (trunkline.table_mark), the lock. ROW EXCLUSIVE, which writing takes anyway,
-- keeps other owners, triggers, rules and columns out; ACCESS SHARE keeps other owners and columns out.
-- Errors: 40001 where one has changed, or its capture does not log any more what replay writes: the transaction is to be
-- repeated with a new look. Those of LOCK.
-- Partitions are looked at and not locked: a table may have more of them than there is room for locks.
-- Tables: locks those, reads the catalog. Each small batch pays for it, so it has no setting of its own,
-- which took longer than all else here: names and operators have their schema instead.
create or replace function trunkline.hold_tables(i_tables text[], i_marks text[], i_mode text) returns void
language plpgsql volatile
as $$
declare
    v_table pg_catalog.oid;
    -- Every role with TRIGGER on a table can make an ordinary trigger, which acts on the rows that an ordinary session writes.
    v_writes   pg_catalog.bool := i_mode operator(pg_catalog.=) 'row exclusive';
    v_ordinary pg_catalog.bool := v_writes
                       and pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica';
begin
    execute pg_catalog.concat('lock table only ', pg_catalog.array_to_string(i_tables, ', only '), ' in ', i_mode, ' mode');
    for n in 1..pg_catalog.cardinality(i_tables) loop
        v_table := pg_catalog.to_regclass(i_tables[n]);
        -- Most are known without a further question: their owner may be trusted, and they have no trigger of capture that passes
        -- a replica by.
        perform from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) c.relowner
          where c.oid operator(pg_catalog.=) v_table and c.relkind operator(pg_catalog.=) 'r'
            and (r.rolsuper or r.rolname operator(pg_catalog.=) current_user)
            and i_marks[n] operator(pg_catalog.=) pg_catalog.concat(c.oid, ' ', c.relowner,
                case when r.rolname operator(pg_catalog.=) current_user then ' ours' else ' own' end)
            and not (v_writes and c.relhastriggers and exists (
                     select from pg_catalog.pg_trigger t
                      where t.tgrelid operator(pg_catalog.=) c.oid and t.tgenabled operator(pg_catalog.=) 'O'
                        and pg_catalog.left(t.tgname::pg_catalog.text, 10) operator(pg_catalog.=) 'trunkline_'));
        continue when found and not v_ordinary;
        if not trunkline.is_as_marked(v_table, i_marks[n], v_ordinary) or v_writes and trunkline.is_unlogged(v_table) then
            raise exception 'table % has another owner or other code than when replay looked at it', i_tables[n]
                using errcode = '40001';
        end if;
    end loop;
end
$$;
revoke all on function trunkline.hold_tables(text[], text[], text) from public;

-- Function trunkline.proven(i_table regclass, i_mark text): a condition in a prepared statement that writes rows of a
-- table that is 'ours'. It proves that the table still has its mark, and that its capture, if it has one, logs what is
-- written.
--
-- The simple way is to hold the table in each transaction (trunkline.hold_tables), which takes two thirds of what all
-- else of a transaction of one row takes. This function says of itself that it is immutable, and it is not: so the
-- server calls it when it plans the statement, and the plan has no trace of it. The server plans under the lock that the
-- statement takes, and keeps the plan. At each execution it looks, under that lock, whether the table has changed since:
-- its owner, its triggers, its name, its columns. Then it makes a new plan, and calls the function again. Whether a table
-- is 'ours' depends on nothing else: on its number, its owner, and that it is no partitioned table.
-- The table's number comes from the server's reading of the statement, in which the name means one table.
--
-- Result: true.
-- Errors: 40001 where the mark is another, before the statement has done anything: the transaction is to be repeated
-- with a new look.
-- Users must not call it in a statement that does not write that table.
create or replace function trunkline.proven(i_table regclass, i_mark text) returns bool
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    -- An immutable function sees what its statement's snapshot shows, which is older than the lock. A volatile one
    -- takes a snapshot of its own.
    perform trunkline.prove_mark(i_table, i_mark);
    return true;
end
$$;
revoke all on function trunkline.proven(regclass, text) from public;

-- Function trunkline.prove_mark(i_table oid, i_mark text): sees that a table has a mark, and that no capture of it would
-- miss what replay writes.
--
-- Errors: 40001 where it is not so.
-- Tables: reads the catalog only.
create or replace function trunkline.prove_mark(i_table oid, i_mark text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if trunkline.table_mark(i_table) is distinct from i_mark or trunkline.is_unlogged(i_table) then
        raise exception 'table % has another owner or other code than when replay looked at it', i_table::regclass
            using errcode = '40001';
    end if;
end
$$;
revoke all on function trunkline.prove_mark(oid, text) from public;

-- Function trunkline.is_as_marked(i_table oid, i_mark text, i_ordinary bool): whether a table still has this
-- mark and, where its owner may put code on it that would run with replay's rights, or anybody an ordinary
-- trigger (i_ordinary), still has none.
-- Tables: reads the catalog only.
create or replace function trunkline.is_as_marked(i_table oid, i_mark text, i_ordinary bool) returns bool
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if trunkline.table_mark(i_table) is distinct from i_mark
       or i_mark like '% stranger' and trunkline.code_of_others(i_table) is not null
    then
        return false;
    end if;
    return not i_ordinary or not exists (
        with recursive tree (oid) as (
            select i_table
            union all
            select i.inhrelid
              from tree join pg_inherits i on i.inhparent = tree.oid join pg_class c on c.oid = i.inhrelid and c.relispartition
        )
        select from tree join pg_trigger t on t.tgrelid = tree.oid and not t.tgisinternal and t.tgenabled = 'O');
end
$$;
revoke all on function trunkline.is_as_marked(oid, text, bool) from public;

-- Function trunkline.prove_columns(i_table regclass, i_types oid[]): sees that a table that replay has made
-- for itself has columns of these types. Replay names types as they were called when it looked; meanwhile
-- somebody may have given the name to another one, such as a domain whose check runs when a value is read.
--
-- Errors: 40001 where one is another: the transaction is to be repeated with a new look.
-- Tables: reads the catalog only.
create or replace function trunkline.prove_columns(i_table regclass, i_types oid[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if array(select a.atttypid from pg_attribute a where a.attrelid = i_table and a.attnum > 0 order by a.attnum) <> i_types then
        raise exception 'a type of % is another than when replay looked at it', i_table using errcode = '40001';
    end if;
end
$$;
revoke all on function trunkline.prove_columns(regclass, oid[]) from public;
