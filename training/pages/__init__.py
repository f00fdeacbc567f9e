"""Makes document pages with exact layout labels, to train the layout detector from scratch. See `python -m pages -h`."""
