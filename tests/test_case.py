"""Views of images stay valid for as long as they are looked at."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from pipeline.case import view


def test_a_view_outlives_the_name_of_its_image():
    views = [view(sitk.Image([24, 24, 6], sitk.sitkUInt8) + 7) for _ in range(50)]
    others = [np.zeros(24 * 24 * 6, np.uint8) for _ in range(50)]  # would reuse freed memory
    assert all((seen == 7).all() for seen in views)
    assert not any(other.any() for other in others)
