-- component: base
-- It can ask the table's owner now.
drop function trunkline.digest(text, text, text[]);
