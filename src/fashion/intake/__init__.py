"""Pictures that a user brings become the dataset: looked at, then written with everything that depends on them."""
