"""Images as arrays: reading, describing, drawing, splitting, augmenting."""
