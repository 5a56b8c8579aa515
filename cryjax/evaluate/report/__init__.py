"""Reports: tables, pictures and a page."""
