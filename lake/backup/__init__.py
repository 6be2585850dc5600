"""Backups: a lake as it was at one moment, in a folder or a bucket, and back. Begin with `moment.py`, which says what belongs to a moment.

A backup place holds `objects/<first two>/<sha-256>`, each content once, and `backups/<number>.json.zst`, written last: what a lake consisted of,
path by path. Nothing in it is a key, a password or a setting: a lake's objects hold none, and nothing of its home is copied.
"""
