-- Schema pgq_coop: several workers share the work of one consumer, each with a batch of its own.
-- Tables touched: none. Users must not: create objects of their own in it.
create schema pgq_coop;
comment on schema pgq_coop is 'Trunkline: cooperating consumers';
grant usage on schema pgq_coop to public;
