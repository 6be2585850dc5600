"""After damage: which objects that the lake names are missing or not what was written (`looking.py`), and making them again from raw (`mending.py`)."""
