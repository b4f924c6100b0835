-- component: subscriber
-- A node that becomes the provider has no position, and keeps what it has left elsewhere until it follows again.
alter table trunkline.left_upstream drop constraint left_upstream_consumer_fkey;
