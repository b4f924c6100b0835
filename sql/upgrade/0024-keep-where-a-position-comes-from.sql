-- component: subscriber
-- A position by the names that it has in the logs further up, and the nodes up there.
alter table trunkline.position
    add column origins jsonb,
    add column path bigint[],
    add column left_nodes bigint[],
    add column left_txid bigint,
    add column followed bigint[],
    add column session_role text;
-- Its result type differs; the installation makes it anew.
drop function if exists trunkline.acting_role(text, text);
