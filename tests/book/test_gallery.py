"""The chooser of landscapes holds them all, and asks no host."""

import json
import re

import numpy as np

from book.site.gallery import landscape_chooser
from qpatch.runs.readings import Landscape


def test_the_chooser_holds_every_landscape_and_asks_no_host():
    x = y = np.linspace(-1, 1, 5)
    bowls = {
        f"bowl {height} </script>": Landscape(
            x, y, height * (x[None] ** 2 + y[:, None] ** 2), np.array([[0.5, 0.5], [0.2, 0.1]]), np.array([0.8, 0.1]), 1
        )
        for height in (1, 3)
    }
    page = landscape_chooser(bowls)
    stored = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL).group(1)
    assert len(json.loads(stored)["runs"]) == page.count("<option") == 2
    assert "from 0 to 6" in stored
    assert "src=" not in page
    assert "http" not in page
    assert 'for="landscapes-run"' in page
