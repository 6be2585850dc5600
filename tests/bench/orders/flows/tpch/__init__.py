"""Orders and their lines, as TPC-H has them."""
