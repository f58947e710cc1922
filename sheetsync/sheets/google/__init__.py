"""A Google Sheet through the Google Sheets API."""
