"""What the spelling check (`make spell`) looks at in a chapter, and what it leaves out as code."""

from pathlib import Path

import pytest
import yaml
from pyspelling.filters.context import ContextFilter

PROJECT = Path(__file__).parents[2]
CHAPTER = """---
kernelspec:
  name: hiddenheader
---

# Shown title

Shown text with `hiddencode`, {cite}`hiddenkey`, $hidden_\\text{formula}$ and a [shown link](hiddenaddress.md).
Shown again.

:::{admonition} Shown heading
:class: hiddenclass
Shown words, see https://hidden.example.org/page.
:::

```{code-cell} ipython3
:tags: [hiddentag]

hiddenvariable = "```"
```

```{code-cell} ipython3
---
tags: [hiddentag]
mystnb:
  figure:
    name: hidden-name
    caption: |
      Shown caption, with $hiddenformula$.
  image:
    alt: Shown description.
---
hiddenvariable = 1
```

```{math}
:label: hiddenlabel
hiddenformula
```

```console
$ hiddencommand
```

````{exercise} Shown exercise
:label: hiddenlabel
Shown question.

```{code-block} python
hiddencall()
```
````

````{solution} hiddenlabel
:class: dropdown
Shown answer.

```python
hiddencall()
```
````

$$
hiddenformula
$$

Shown ending.
"""


@pytest.fixture(scope="module")
def settings():
    return yaml.safe_load((PROJECT / ".pyspelling.yml").read_text(encoding="utf-8"))["matrix"][0]


def test_prose_captions_and_exercises_are_looked_at_and_code_is_not(settings):
    (pipeline,) = settings["pipeline"]
    hide = ContextFilter(pipeline["pyspelling.filters.context"])
    hide.setup()
    text = hide._filter(CHAPTER)
    assert "hidden" not in text
    assert text.count("Shown") == CHAPTER.count("Shown")
    for phrase in ("Shown again", "Shown caption", "Shown description", "Shown question", "Shown answer"):
        assert phrase in text


def test_list_of_words_is_sorted_and_holds_each_word_once():
    words = (PROJECT / "book" / "words.txt").read_text(encoding="utf-8").splitlines()
    assert words == sorted(set(words), key=lambda word: (word.lower(), word))
