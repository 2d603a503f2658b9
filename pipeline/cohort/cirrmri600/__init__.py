"""Import of the T2 part of CirrMRI600+ (Jha et al. 2024, arXiv 2410.16296; OSF cuk24).

The data set has liver masks of cirrhotic and healthy subjects, but neither stiffness nor histology. In the manifest its
cirrhotic rows have an empty ``label_source``, so that only segmenters train on them; its healthy rows are negatives for
a classifier as well.
"""

from pipeline.cohort.cirrmri600.importer import Imported, import_cirrmri600

__all__ = ["Imported", "import_cirrmri600"]
