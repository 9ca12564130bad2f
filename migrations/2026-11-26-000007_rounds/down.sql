ALTER TABLE tasks DROP COLUMN round_head;
ALTER TABLE tasks DROP COLUMN worked;
