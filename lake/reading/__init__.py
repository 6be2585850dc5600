"""Reading raw files as they are: unpacking, finding the dialect, and every record into a row or a reject."""
