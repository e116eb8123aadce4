"""Chat sessions now alive: by id, one timer for all awake, rest, forgetting."""
