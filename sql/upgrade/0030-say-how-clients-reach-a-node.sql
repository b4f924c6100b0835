-- component: base
-- How clients reach a node is told to the other nodes, and to the programs beside them.
alter table trunkline.node add column client text;
