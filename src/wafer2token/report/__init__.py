"""Charts and the self-contained HTML page."""
