"""A project folder: sheetsync.toml, the state folder, its lock, init, garbage collection."""
