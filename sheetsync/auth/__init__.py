"""Who sheetsync is to Google: service accounts, sign-in, tokens."""
