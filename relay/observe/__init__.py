"""Tells humans and machines what happened: metrics, logs, health."""
