-- pgq_ext.completed_tick: the tick that each consumer has come to. Written by set_last_tick; users must not.
create table pgq_ext.completed_tick (
    consumer_id    text   not null,
    subconsumer_id text   not null,
    last_tick_id   bigint not null,
    constraint completed_tick_pkey primary key (consumer_id, subconsumer_id)
);
