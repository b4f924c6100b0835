-- component: subscriber
-- Their result types differ; the installation makes them anew.
drop function if exists trunkline.acting_role(text, text);
drop function if exists trunkline.target_columns(text, text);
