"""Pages for people, one file each, that open offline: what they show is measured elsewhere."""
