"""lake: any number in a gold table, explained down to the raw line it came from."""
