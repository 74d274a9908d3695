-- A product's own number in the shop. Compared at the commit, so that it can go from one product to
-- another in one batch.
ALTER TABLE products
    ADD COLUMN sku text CHECK (char_length(sku) BETWEEN 1 AND 64),
    ADD CONSTRAINT products_sku_taken EXCLUDE USING btree (sku WITH =)
        WHERE (NOT is_deleted AND sku IS NOT NULL) DEFERRABLE INITIALLY DEFERRED;
