-- PgQ's pgq.subscription becomes ours. PgQ did not record who registered a consumer: anybody may move it, as before.
alter table pgq.subscription
    drop constraint subscription_batch_idx,
    add column sub_owner        oid,
    add column sub_over_since   timestamptz,
    add column sub_detached     timestamptz,
    add column sub_detached_why text,
    add column sub_head         int4,
    add column sub_whole        oid[];
alter table pgq.subscription set (fillfactor = 50);
-- Members of a cooperating consumer share its sub_id, and have both ticks or none; the head has its position only.
update pgq.subscription s
   set sub_head = h.sub_consumer
  from pgq.subscription h
 where h.sub_id = s.sub_id and h.sub_last_tick is not null and h.sub_next_tick is null
   and exists (select from pgq.subscription m where m.sub_id = s.sub_id and m.sub_consumer <> h.sub_consumer);
