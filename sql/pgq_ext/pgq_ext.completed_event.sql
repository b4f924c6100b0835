-- pgq_ext.completed_event: the events of the batch in work that each consumer has done; those of an earlier batch go when
-- the first of the next one comes. Written by set_event_done; users must not.
create table pgq_ext.completed_event (
    consumer_id    text   not null,
    subconsumer_id text   not null,
    batch_id       bigint not null,
    event_id       bigint not null,
    constraint completed_event_pkey primary key (consumer_id, subconsumer_id, batch_id, event_id)
);

-- pgq_ext.partial_batch: the batch that those events are of.
create table pgq_ext.partial_batch (
    consumer_id    text   not null,
    subconsumer_id text   not null,
    cur_batch_id   bigint not null,
    constraint partial_batch_pkey primary key (consumer_id, subconsumer_id)
);
