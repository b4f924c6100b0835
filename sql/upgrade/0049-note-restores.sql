-- component: subscriber
-- What is done of a restore is noted in the database that it is made in.
create table trunkline.restore (
    consumer text        not null,
    step     text        not null,
    detail   text,
    done_at  timestamptz not null default clock_timestamp(),
    primary key (consumer, step)
);
