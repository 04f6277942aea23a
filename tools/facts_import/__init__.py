"""Turns a folder of collected facts (YAML) into the TOML cards of the catalogue; shows where the cards came from."""
