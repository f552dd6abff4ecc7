"""Reproduction: the experiments of a method's paper, carried out here as far as they can be."""
