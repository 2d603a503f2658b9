"""Cohorts: manifests, images with labels, import of public data, out-of-fold members and predicted masks."""
