"""How good a model is, measured through docreader itself."""
