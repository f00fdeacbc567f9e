"""Everything between the pages on disk and a trained model: reading, augmenting, batching, stepping, keeping, showing."""
