"""Trying recipes out: a search among them and what it found; what more images bring."""
