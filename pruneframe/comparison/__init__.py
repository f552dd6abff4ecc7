"""What a study says: statistics, protocol and style, and the documents that they end in."""
