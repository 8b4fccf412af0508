"""Figures about predictions, and what is decided from them (numpy, scipy, scikit-learn)."""
