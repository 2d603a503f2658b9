"""Blinded reader studies: protocol, work lists, reading, analysis."""
