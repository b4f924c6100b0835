-- pgq.random_id(): a random identity for a queue's epoch or a tick's tag.
-- Result: bigint from 1 to 2^63-1. Not a secret: unlikely to repeat, that is all. No extension, any version.
-- The number mixes the clock and the backend, because random() alone may be seeded alike in a restored or cloned server.
-- Tables touched: none.
create or replace function pgq.random_id() returns bigint
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select greatest(1, ('x' || substr(md5(random()::text || clock_timestamp()::text || pg_backend_pid()::text
                                          || random()::text), 1, 16))::bit(64)::bigint & 9223372036854775807)
$$;
