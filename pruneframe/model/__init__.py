"""A network and its data: trained modules as prunable layers, the splits of their images, and where both come from."""
