-- Trigger functions: TRUNCATE, levels, roles, disabled queues.

create schema tt

select pgq.create_queue('tq')

create function tt.show() returns setof text language plpgsql as $$
declare r record;
begin
    for r in execute 'select concat_ws('' | '', coalesce(ev_type, ''NULL''), coalesce(ev_data, ''NULL''), coalesce(ev_extra1, ''NULL''), coalesce(ev_extra2, ''NULL''), coalesce(ev_extra3, ''NULL''), coalesce(ev_extra4, ''NULL'')) as x from ' || pgq.current_event_table('tq') || ' order by ev_id' loop
        return next r.x;
    end loop;
    execute 'delete from ' || pgq.current_event_table('tq');
end $$

create function tt.make(args text, timing text default 'after insert or update or delete', lvl text default 'row') returns void language plpgsql set client_min_messages = warning as $$
declare f text;
begin
    foreach f in array array['logutriga', 'sqltriga', 'jsontriga'] loop
        execute format('drop trigger if exists x_%s on tt.k', f);
        execute format('create trigger x_%s %s on tt.k for each %s execute procedure pgq.%s(%s)', f, timing, lvl, f, args);
    end loop;
end $$

create table tt.k (a int, b text, c text, d text, primary key (a, b))

create function tt.ops() returns setof text language plpgsql as $$
declare s text;
begin
    foreach s in array array['delete from tt.k where a = 99', $q$insert into tt.k values (1, 'x', 'c1', 'd1')$q$, $q$update tt.k set c = 'c2' where a = 1$q$, $q$update tt.k set d = 'd2' where a = 1$q$, $q$update tt.k set d = d where a = 1$q$, $q$update tt.k set c = null, d = 'd3' where a = 1$q$, $q$delete from tt.k$q$] loop
        begin
            return next '-- ' || s;
            execute s;
        exception when others then
            return next sqlstate || ': ' || sqlerrm;
        end;
        return query select '     ' || x from tt.show() x;
    end loop;
    execute 'alter table tt.k disable trigger all; delete from tt.k; alter table tt.k enable trigger all';
end $$

create function tt.try(args text, timing text default 'after insert or update or delete', lvl text default 'row') returns setof text language plpgsql as $$
begin
    begin
        perform tt.make(args, timing, lvl);
    exception when others then
        return next sqlstate || ': ' || sqlerrm;
        return;
    end;
    return query select tt.ops();
end $$

select tt.make($$'tq'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'SKIP'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'ignore=c'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'pkey=c'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'backup'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'deny'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'when=true'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'ev_data=1'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'ev_extra4=1'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'when=true', 'ignore=c', 'backup'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'ignore=c', 'pkey=zz', 'backup', 'deny'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'pkey=zz', 'backup', 'deny'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'backup', 'deny'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'foo'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'nope'$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'ignore='$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'pkey='$$, 'before truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq'$$, 'after truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'SKIP'$$, 'after truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'backup', 'deny', 'SKIP'$$, 'after truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq', 'deny', 'SKIP'$$, 'after truncate', 'statement')

truncate tt.k

select * from tt.show()

select tt.make($$'tq'$$, 'before truncate', 'row')

create table tt.nokey (a int)

create trigger t before truncate on tt.nokey for each statement execute procedure pgq.jsontriga('tq')

truncate tt.nokey

select * from tt.show()

drop trigger t on tt.nokey

create trigger t after insert or delete on tt.nokey for each statement execute procedure pgq.jsontriga('tq')

insert into tt.nokey values (1)

delete from tt.nokey where a = 2

select * from tt.show()

select tt.make($$'tq', 'deny'$$, 'before insert or update or delete')

insert into tt.k values (1, 'x')

set session_replication_role = replica

insert into tt.k values (1, 'x')

alter table tt.k enable always trigger x_sqltriga

update tt.k set c = '1'

set session_replication_role = local

update tt.k set c = '2'

select * from tt.k

reset session_replication_role

select tt.make($$'tq'$$)

set session_replication_role = replica

update tt.k set c = '3'

alter table tt.k enable always trigger x_sqltriga

update tt.k set c = '4'

alter table tt.k enable replica trigger x_jsontriga

update tt.k set c = '5'

set session_replication_role = local

update tt.k set c = '6'

reset session_replication_role

select * from tt.show()

update pgq.queue set queue_disable_insert = true where queue_name = 'tq'

update tt.k set c = '7'

set session_replication_role = replica

update tt.k set c = '8'

select * from tt.show()

reset session_replication_role

update pgq.queue set queue_disable_insert = false, queue_per_tx_limit = 2 where queue_name = 'tq'

update tt.k set c = '9'

alter table tt.k enable trigger x_jsontriga

alter table tt.k enable trigger x_sqltriga

update tt.k set c = '10'

update pgq.queue set queue_per_tx_limit = null where queue_name = 'tq'

select * from tt.show()

--! differs called_as_function
--! theirs ERROR XX000: pgq.logutriga not called as trigger
--! ours ERROR 0A000: trigger functions can only be called as triggers
select pgq.logutriga()

--! differs called_as_function
--! theirs ERROR XX000: pgq.sqltriga not called as trigger
--! ours ERROR 0A000: trigger functions can only be called as triggers
select pgq.sqltriga()

--! differs called_as_function
--! theirs ERROR XX000: pgq.logutriga not called as trigger
--! ours ERROR 0A000: trigger functions can only be called as triggers
select pgq.jsontriga()
