"""The blocks of a report: escaped once, well-formed, complete without a network."""

from __future__ import annotations

import re
import subprocess
import sys

from feature_repo.pages.blocks import (
    badge,
    card,
    cards,
    code,
    facts,
    fine,
    header,
    lead,
    notice,
    page,
    panel,
    record,
    section,
    table,
    tiles,
)
from feature_repo.pages.markup import Markup, element, escaped, joined
from feature_repo.pages.style import STYLE
from tests.feature_repo.pages.tags import read_tags
from tests.kit.checkout import ROOT

ODD = '<b>&"odd"\'</b>'
ESCAPED = "&lt;b&gt;&amp;&quot;odd&quot;&#x27;&lt;/b&gt;"


def whole() -> str:
    """A page with every block, each holding text that must be escaped."""
    return page(
        ODD,
        header(ODD, ODD, lead(ODD), fine(ODD), notice(ODD, tone="bad"), tone="good"),
        tiles([(ODD, ODD, "warn")]),
        section(ODD, panel(code(ODD), facts({ODD: ODD}), columns=True), note=ODD),
        table([ODD, "n"], [[ODD, 1], [badge(ODD, "bad"), 2]], numeric=(1,)),
        cards([card(ODD, ODD, record({ODD: ODD}, marked=ODD, prefix=[ODD]))], large=True),
    )


def test_every_block_escapes_its_text_once() -> None:
    text = whole()
    assert ODD not in text
    assert "&amp;lt;" not in text
    assert text.count(ESCAPED) == 21


def test_a_page_is_well_formed_and_needs_no_network() -> None:
    text = whole()
    assert read_tags(text).open == []
    assert text.startswith('<!doctype html><html lang="en">')
    assert not re.search(r"https?:|//|@import|url\(|<script|<link|<img|src=|href=", text)


def test_every_class_of_a_block_has_a_style() -> None:
    used = {name for key, value in read_tags(whole()).attributes if key == "class" and value for name in value.split()}
    assert used <= set(re.findall(r"\.([a-z][a-z-]*)", STYLE))


def test_markup_is_kept_and_text_is_escaped() -> None:
    assert escaped(Markup("<i>")) == "<i>"
    assert escaped(3) == "3"
    assert joined(["a<", Markup("<br>")], " & ") == "a&lt; &amp; <br>"
    assert isinstance(element("p"), Markup)


def test_attributes_are_escaped_renamed_and_left_out_when_empty() -> None:
    made = element("rect", x=1.005, y=2, class_="", text_anchor='"')
    assert made == '<rect x="1.00" y="2" text-anchor="&quot;"/>'


def test_a_record_marks_one_pair() -> None:
    made = record({"price": -1, "item_id": "i1"}, marked="price", prefix=["row 4"])
    assert made == '<div class="code">row 4 · <b>price=-1</b> · item_id=i1</div>'


def test_numbers_of_a_table_stand_right() -> None:
    made = table(["name", "rows"], [["a", 1]], numeric=[1])
    assert '<th class="num">rows</th>' in made
    assert '<td>a</td><td class="num">1</td>' in made


def test_the_kit_needs_the_standard_library_only() -> None:
    """The TFDV environment has none of the packages of this one; `-S` hides them."""
    names = sorted(path.stem for path in (ROOT / "feature_repo" / "pages").glob("[a-z]*.py"))
    code_ = "; ".join(f"import feature_repo.pages.{name}" for name in names)
    done = subprocess.run([sys.executable, "-S", "-c", code_], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
