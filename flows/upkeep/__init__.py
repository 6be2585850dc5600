"""The flows that keep the lake itself."""
