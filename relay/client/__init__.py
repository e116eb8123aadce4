"""For the relay's callers and receivers; light: no server module is imported."""
