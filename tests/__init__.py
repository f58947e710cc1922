"""Laws, contracts, and the tests of each room."""
