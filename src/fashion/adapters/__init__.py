"""One module per tool. They do not know each other, and no tool's own object leaves its module."""
