-- Schema pgq: the queue, with the SQL interface of PgQ 3.5.
-- Tables touched: none. Users must not: create objects of their own in it.
create schema pgq;
comment on schema pgq is 'Trunkline: event queues';
grant usage on schema pgq to public;
