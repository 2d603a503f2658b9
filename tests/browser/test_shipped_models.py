"""The whole job once more, with the models that ship, on the example case: nothing is stood in for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import nibabel as nib
import numpy as np
import pytest

from tests.browser.conftest import Server, Visitor, start_server
from tests.servers import ROOT

EXAMPLES = ROOT / "assets" / "examples"
MODELS = [ROOT / "models" / name / "model.json" for name in ("liver_t2", "fibrosis_t2")]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not all(file.exists() for file in MODELS), reason="the models are not installed"),
    pytest.mark.skipif(not (EXAMPLES / "abdomen_t2.nii.gz").exists(), reason="the examples were not made"),
]
LONG_MS = 300_000


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from start_server(tmp_path_factory.mktemp("shipped"), "--shipped")


@pytest.mark.parametrize("label", ["NIfTI example", "DICOM example"])
def test_an_example_becomes_a_saved_review(new_visitor: Callable[..., Visitor], shipped: Server, label: str) -> None:
    visitor = new_visitor("/", shipped)
    page = visitor.page
    page.context.set_default_timeout(LONG_MS)
    page.click(f"text={label}")
    page.wait_for_selector('.fr-viewer[data-state="ready"]')
    page.click("#fr-analyse")
    page.wait_for_selector(".fr-progress")
    page.wait_for_selector(".fr-verdict")
    assert "Dice about 0." in page.inner_text("#fr-result"), "the quality of the mask is predicted"
    assert page.evaluate(
        """() => {
          const edge = document.querySelector("#fr-result").getBoundingClientRect().right;
          return [...document.querySelectorAll(".fr-facts dd")].every((e) => e.getBoundingClientRect().right < edge);
        }"""
    ), "a figure lies outside its card"
    with page.expect_download() as download:
        page.click("text=Liver mask (NIfTI)")
    file = nib.Nifti1Image.from_bytes(gunzip(download.value.path().read_bytes()))
    voxels = np.asarray(file.dataobj)
    assert set(np.unique(voxels)) == {0, 1}
    litres = voxels.sum() * float(np.prod(file.header.get_zooms()[:3])) / 1e6
    assert 0.4 < litres < 4
    visitor.answer_all("R1")
    assert visitor.save().startswith("Saved as review")
    row = shipped.rows()[-1]
    assert row["segmenter"].startswith("liver_t2@")
    assert 0 <= float(row["probability"]) <= 1


def gunzip(packed: bytes) -> bytes:
    import gzip

    return gzip.GzipFile(fileobj=io.BytesIO(packed)).read()
