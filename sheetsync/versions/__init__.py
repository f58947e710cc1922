"""The versions of the sheet: what each held, how it scored, and how two compare."""
