"""Adapters: what other platforms' webhooks say about typing, in the words of `POST /v1/events`."""
