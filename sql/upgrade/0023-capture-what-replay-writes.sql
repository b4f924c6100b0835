-- component: provider
-- Who writes a captured table here; and a batch comes with the origins of its last tick and the nodes that it is
-- from.
alter table trunkline.captured add column writers text[] not null default '{}';
create index captured_writers_idx on trunkline.captured (queue_id) where writers <> '{}';
drop function trunkline.next_batch(text, bigint, bigint, text, bigint);
