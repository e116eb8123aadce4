"""The operator's settings: TOML, `.env` and environment in, one frozen `Settings` out."""
