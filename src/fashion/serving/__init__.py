"""`fashion serve`: the champion answers over HTTP, every answer is logged, and the page at / shows it to a person."""
