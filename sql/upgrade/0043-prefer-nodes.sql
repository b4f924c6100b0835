-- component: base
-- Which of several standbys that are equally far becomes the provider.
alter table trunkline.node add column priority int4;
