-- Table trunkline.applied_tick: the ticks of its provider's queue that a consumer has stood at, while others could follow its
-- tables from this database.
--
-- A subscriber that moves here from the provider's queue stands at one of its ticks. Its rows are those that this node had
-- when it stood there only if that is one of these ticks: number and tag are compared (trunkline.place_of).
-- A row is written in the transaction that moves the position. Rows that are older than the oldest tick of this database's
-- queue are deleted (trunkline.forget_applied).
create table trunkline.applied_tick (
    consumer    text        not null,
    epoch       bigint      not null,
    tick_id     bigint      not null,
    tick_tag    bigint      not null,
    applied_at  timestamptz not null default now(),
    primary key (consumer, epoch, tick_id)
);
