"""The window: renders records, emits intents; the session acts."""
