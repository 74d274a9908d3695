-- Up to which position events were sent with fewer lanes than now; 0: none ever was. In a shop that
-- was there before it is not known until its lanes are raised again.
ALTER TABLE relay_cursor ADD COLUMN lanes_since bigint DEFAULT 0;
UPDATE relay_cursor SET lanes_since = NULL WHERE position > 0;
