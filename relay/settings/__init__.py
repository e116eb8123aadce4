"""The operator's settings: TOML, `.env` and environment in, one frozen `Settings` out.

Nothing is imported here: whoever needs no models does not wait for them.
"""
