"""Messaging platforms: one wanted indicator becomes one HTTP call and one outcome value."""
