"""The operator's listener: health, metrics, sessions, audit, deliveries."""
