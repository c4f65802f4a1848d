DROP TABLE approved_keys;
