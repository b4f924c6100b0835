-- Schema pgq_ext: in a consumer's target database, which batch, event or tick it has done; written in the transaction
-- that writes the consumer's results, so that both are there or neither.
-- Tables touched: none. Users must not: create objects of their own in it.
create schema pgq_ext;
comment on schema pgq_ext is 'Trunkline: what consumers have done';
grant usage on schema pgq_ext to public;
