-- Table trunkline.restore: what is done of a restore from an archive (`replay restore`) into this database. A row is written
-- in the transaction that does the step, so a restore that was killed goes on where it was. All rows go with its end.
--
--   consumer  the restore's own, which has its position and table states meanwhile
--   step      what is done; `plan`, the first one, says in detail what is restored
--   detail    more about it; null: nothing
--   done_at   when, by this server's clock
create table trunkline.restore (
    consumer text        not null,
    step     text        not null,
    detail   text,
    done_at  timestamptz not null default clock_timestamp(),
    primary key (consumer, step)
);
