"""Google Sheets, through the Google Sheets API (v4)."""
