-- Table trunkline.left_upstream: providers that a consumer does not follow, and where it may still be registered.
--
-- A consumer that nobody reads for keeps its provider's events. So a row is written before the consumer is registered at
-- a provider that it is about to move to, and in the transaction that moves it away from one. The daemon ends the
-- consumer there as soon as that provider answers, and deletes the row. A node that becomes the provider itself keeps its rows
-- until it follows again.
--
--   epoch      the identity of the provider's queue
--   address    host, port and database, without credentials; null: not known, then the daemon can only say so
--   left_at    when the row was written
create table trunkline.left_upstream (
    consumer  text        not null,
    epoch     bigint      not null,
    address   text,
    left_at   timestamptz not null default now(),
    primary key (consumer, epoch)
);
