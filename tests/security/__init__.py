"""What others on the machine, pages in a browser and hostile files can do to a lake: each was a proof that something could be done."""
