-- Table trunkline.conflict: rows that were not on the subscriber as the change said.
--
-- The newest 10,000 of each consumer are kept, of one chunk of a batch the first 1,000
-- (trunkline.position.conflicts counts all). kind: `missing`, a row to be updated or deleted was not there; `exists`, a
-- row to be inserted was there already. The provider's row won. row_key is the key
-- as record text, cut at 4,000 characters; it may be confidential, so only the owner of the schema reads it;
-- logs show key_hash.

create table trunkline.conflict (
    conflict_id  bigserial   primary key,
    consumer     text        not null references trunkline.position (consumer),
    schema_name  text        not null,
    table_name   text        not null,
    kind         text        not null check (kind in ('missing', 'exists')),
    row_key      text        not null,
    key_hash     text        not null,
    tick_id      bigint      not null,
    found_at     timestamptz not null default now()
);
