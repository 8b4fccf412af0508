"""One module per pipeline stage: files in, files out, a small summary back."""
