"""Numbers and pictures about embeddings, and arithmetic on them: what a word is made of."""
