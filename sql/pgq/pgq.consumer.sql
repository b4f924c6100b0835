-- pgq.consumer: names of consumers, one row a name, whatever the number of queues it reads.
-- Users must not: write to it; register_consumer and unregister_consumer do.
create table pgq.consumer (
    co_id   serial not null,
    co_name text   not null,
    constraint consumer_pkey primary key (co_id),
    constraint consumer_name_uq unique (co_name)
);
