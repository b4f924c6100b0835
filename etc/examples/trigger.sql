-- A table whose changes are events of queue jobs:
--   psql -d app -f etc/examples/trigger.sql
\set ON_ERROR_STOP on

create table customer (id int primary key, name text, password text);

-- One event a row, as JSON, without one column. The writer's role needs pgq_writer.
create trigger customer_changes after insert or update or delete on customer
    for each row execute procedure pgq.jsontriga('jobs', 'ignore=password');

insert into customer values (1, 'Alice', 'secret');
update customer set name = 'Alice B.' where id = 1;
update customer set password = 'other' where id = 1;
