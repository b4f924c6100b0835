-- Function trunkline.text_bytes(i_value anyelement): how many bytes a value takes in a row's text; more than any row may
-- have (capture_words) if it has no text.
--
-- A text ends at 1 GB, and what is stored in 1 MB may be longer than that: 200 MB of control characters in jsonb are six
-- times as long as text, and almost nothing compressed. The simple way, octet_length, then fails the writer's statement.
-- A subtransaction costs 17 microseconds, nothing beside the text of a value of this size.
-- Result: bytes. Tables: none. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.text_bytes(i_value anyelement) returns int8
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    return octet_length(row(i_value)::text);
exception when others then
    return 900000001;
end
$$;
revoke all on function trunkline.text_bytes(anyelement) from public;
