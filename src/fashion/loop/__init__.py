"""What happens to a champion in use: it is watched, and what came in is learned from."""
