"""What tests are built from: servers, people who edit, hostile files."""
