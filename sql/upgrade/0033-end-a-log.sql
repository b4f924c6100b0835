-- component: pgq
-- The log of a node that takes no writes any more ends at a tick.
alter table pgq.queue add column queue_ends_at bigint;
