"""Google credentials: service accounts, OAuth sign-in, access tokens."""
