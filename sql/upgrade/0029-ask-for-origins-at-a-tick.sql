-- component: provider
-- It gets a tick as an argument; the installation makes it anew.
drop function if exists trunkline.table_origins(text);
