"""One module per kind of card."""
