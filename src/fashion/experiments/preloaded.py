"""What the processes of trials are forked from: imported once, without its output."""

from fashion.importing import heavy_imports

with heavy_imports():
    import fashion.experiments.trial
    import fashion.model.training  # noqa: F401, TensorFlow takes four seconds
