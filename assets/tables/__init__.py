"""Tables of the lake, by concern: column names, Arrow types, keys and partitions."""
