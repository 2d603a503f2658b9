"""Strength of each sign of liver fibrosis on T2 in one case.

``shape_signs``, ``texture_signs``, ``ascites`` and ``vessels`` draw them.

After Eur J Radiol 61 (2007) 57 and Insights Imaging 1 (2010) 233: thin, lace-like, mildly bright septa; nodules equal
to dark, mostly under 1 cm; at cirrhosis a nodular surface, a small right and a large left lobe, a large spleen,
sometimes ascites, collateral vessels or a confluent wedge.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FibrosisSigns:
    """Strength of each sign; the defaults are a healthy liver."""

    septa: float = 0.0
    """Brightness of a septum's centre above the parenchyma, as a share of the parenchyma's signal."""
    septa_complete: float = 0.5
    """Share of nodule borders that carry a septum, 0-1."""
    nodules: float = 0.0
    """Signal loss of nodules, as a share of the parenchyma's signal."""
    nodule_mm: float = 6.0
    """Mean distance of the centres of small nodules, mm."""
    macronodular: float = 0.0
    """Share of the liver, 0-1, in which large nodules lie among the small ones."""
    siderotic: float = 0.0
    """Share of nodules that contain iron and are clearly dark, 0-1."""
    surface_mm: float = 0.0
    """Height of surface nodules, mm."""
    lobar: float = 0.0
    """Shrinkage of the right lobe and growth of the left; 1 is about a third in length."""
    caudate: float = 0.0
    """Growth of the caudate lobe; 1 is about a half in length."""
    notch_mm: float = 0.0
    """Depth of the right posterior hepatic notch, mm."""
    spleen: float = 1.0
    """Factor on the spleen's volume."""
    ascites_mm: float = 0.0
    """Greatest depth of fluid between liver and body wall, mm."""
    varices_mm: float = 0.0
    """Mean diameter of varices between spleen, stomach and left lobe, mm; 0: none."""
    umbilical_mm: float = 0.0
    """Diameter of a recanalised umbilical vein, mm; 0: none."""
    slow_flow: float = 0.0
    """1: blood in varices and umbilical vein is slow and bright; 0: it flows and is dark."""
    confluent: float = 0.0
    """Brightness of one confluent wedge, as a share of the parenchyma's signal."""
