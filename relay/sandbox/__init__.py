"""A stand-in platform and a verifying tracker: shipped for demo and tests, never imported by the relay itself."""
