"""A lake as pages: what each table promises and how it went, its lineage as a graph, releases and search. Made from commits; opens from disk.

No page asks for anything from elsewhere: data are scripts, libraries lie beside them, and all addresses are relative.
"""

from lake.site.build import build_site

__all__ = ["build_site"]
