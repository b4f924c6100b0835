-- pgq_ext.completed_batch: the last batch that each consumer has done. Written by set_batch_done; users must not.
create table pgq_ext.completed_batch (
    consumer_id    text   not null,
    subconsumer_id text   not null,
    last_batch_id  bigint not null,
    constraint completed_batch_pkey primary key (consumer_id, subconsumer_id)
);
