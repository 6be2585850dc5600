"""Broken delimited files with the clean table beside each, and a table of how well readers recover it."""
