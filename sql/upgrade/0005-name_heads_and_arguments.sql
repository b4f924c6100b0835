-- component: pgq
-- The head of a cooperating consumer is known from each row of its group.
alter table pgq.subscription add column sub_head int4;
-- Arguments get the names that they have in PgQ 3.5; a function's arguments cannot be renamed in place.
drop function pgq.current_event_table(text);
drop function pgq.get_batch_events(bigint);
drop function pgq.grant_perms(text);
drop function pgq.register_consumer(text, text);
