"""The article's experiment as a command: how few labels a stream needs, beside honest baselines."""
