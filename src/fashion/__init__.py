"""Keep an image classifier good in production: validated data, judged models, a registry."""
