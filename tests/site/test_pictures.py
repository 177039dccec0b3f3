"""Pictures for link previews: figures drawn as PNG."""

from PIL import Image

from book.site.previews import PICTURE, draw_picture

DRAWING = (
    """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><rect width="10" height="10" fill="red"/></svg>"""
)


def test_a_figure_fills_the_height_and_stands_in_the_middle(browser, tmp_path):
    (tmp_path / "figure.svg").write_text(DRAWING)
    draw_picture(browser, tmp_path / "figure.svg", tmp_path / "figure.png")
    image = Image.open(tmp_path / "figure.png").convert("RGB")
    width, height = image.size
    assert {"width": width, "height": height} == PICTURE
    assert {image.getpixel((x, height // 2)) for x in (320, width // 2, width - 320)} == {(255, 0, 0)}
    assert {image.getpixel(place) for place in ((5, 5), (200, height // 2), (width // 2, 5))} == {(255, 255, 255)}
