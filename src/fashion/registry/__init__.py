"""From a trained model to a champion: registering, judging, promoting, finding it again, making it again."""
