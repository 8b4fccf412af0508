"""What readers and writers of shards agree on."""

METADATA = b"huggingface"
"""The key in the schema's metadata under which `datasets` keeps the features, with the names of the classes."""
ROWS_AT_ONCE = 100
"""In a row group, as `datasets` writes them for images; readers hold one."""
