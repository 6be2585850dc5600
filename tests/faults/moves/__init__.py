"""Where customers live and lived: what was said of each, kept as histories, and how many live in each city now."""
