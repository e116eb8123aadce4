"""Engagement events go out, surely: recorded in one transaction, signed, delivered, retried, kept."""
