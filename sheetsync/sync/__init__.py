"""One pass, stage by stage."""
