"""Faults on purpose: a proxy in front of a real store, a small project to run against it, and a plain model of what must come out."""
