-- Which life of the counter this is: drawn at random when it begins, and anew after a reset. An attempt that compared nothing is given back
-- only to the counter that counted it. NULL: only counted by a version before, and nothing is given back.
ALTER TABLE step_up_attempts ADD COLUMN generation BLOB;
