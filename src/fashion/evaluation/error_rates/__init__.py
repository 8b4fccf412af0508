"""How often gates and judgement err: test sets drawn from a known truth, judged by the code that judges real models."""
