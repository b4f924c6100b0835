-- Table trunkline.captured_sequence: the sequences whose values consumers carry over. Sequences make no events;
-- their values are asked for (trunkline.sequence_values).
-- Users must not write to it; add_sequence and remove_sequence do.
create table trunkline.captured_sequence (
    seq_oid    oid         not null,
    queue_id   int4        not null references pgq.queue (queue_id),
    consumers  text[]      not null,
    created_at timestamptz not null default now(),
    primary key (seq_oid, queue_id)
);
