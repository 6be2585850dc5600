"""A new project, made from files that somebody points at: what `lake init` writes. Open project.py first.

files.py finds which files belong together and what is in them, gold.py chooses what the first gold table counts, texts.py has what stands beside
the drafted tables, project.py puts all of it together and writes it, whole or not at all. It uses the preview and its drafts, and needs no lake.
"""
