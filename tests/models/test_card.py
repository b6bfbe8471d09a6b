"""The page of a model: it says what a user asks, in every form, and obeys nothing in the card."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models.page import Page, Section, as_html, as_markdown, as_text, html_document

EVIL = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """The tags that a browser would see, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def shipped():
    return mlmaps.load_model("disks")


def forms(card):
    """The page as text, as Markdown without its backslashes, and as what HTML shows."""
    markdown = html.unescape(as_markdown(card.page()).replace("\\", ""))
    return str(card), markdown, Tags(card._repr_html_()).text


def flat(text):
    return re.sub(r"\s+", " ", text)


class TestOrientationCard:
    def test_says_what_it_was_trained_on(self, model):
        for text in map(flat, forms(model.card)):
            for fact in (
                "GaSb",
                "space group 216",
                "6.0959",
                "[110]",
                "300 keV, semi-angle 1.1 mrad",
                "x -0.2 to 0.2°",
                "65 to 80 nm",
                "100,000 to 1,000,000 electrons",
                "Ga 0.085, Sb 0.095 Å",
                "25 → 64 → 64 → 64 → 6",
                "seed",
                f"keras {model.card.versions['keras']}",
            ):
                assert fact in text

    def test_says_the_errors_with_their_units(self, model):
        for text in forms(model.card):
            for stage in ("bare", "refined"):
                x, y, thickness = model.card.validation[stage]["rms"]
                assert f"{x:.5f}°" in text and f"{y:.5f}°" in text and f"{thickness:.3f} nm" in text

    def test_says_what_is_not_known(self, model):
        bare = model.with_card(
            crystal=None, energy=None, convergence_angle=None, library=[], validation={},
            versions={}, training={},
        )  # fmt: skip
        for text in forms(bare.card):
            assert "not stated" in text and "not validated" in text

    def test_models_show_their_card_in_jupyter(self, model, shipped):
        for each in (model, shipped):
            assert each._repr_html_() == each.card._repr_html_()
            assert len(repr(each).splitlines()) < 20 < len(str(each.card).splitlines())

    def test_code_is_python(self, model, shipped):
        for each in (model, shipped):
            section = next(s for s in each.card.page().sections if s.code)
            compile(section.code, "card", "exec")


class TestDiskCard:
    def test_says_what_it_was_trained_on(self, shipped):
        for text in map(flat, forms(shipped.card)):
            for fact in (
                "4 to 60 px",
                "Si [110] [100] [112]",
                "80 to 300 keV",
                "8 to 120 nm",
                "30 to 10,000,000 electrons",
                "GPL-3.0-or-later",
            ):
                assert fact in text

    def test_says_all_its_errors(self, shipped):
        for text in forms(shipped.card):
            for row in shipped.card.validation:
                assert f"{row['rms']:.3f} px" in text and f"{row['median']:.3f} px" in text


class TestStatements:
    def test_are_kept_and_shown(self, model, tmp_path):
        stated = {
            "name": "gasb",
            "description": "GaSb for the laboratory's microscope",
            "author": "A. Author",
            "licence": "CC-BY-4.0",
            "citation": "Author, J. Microsc. 1 (2026) 1",
            "limits": "Not for foils with stacking faults",
        }
        said = model.with_card(**stated)
        said.save(tmp_path / "m.keras")
        card = mlmaps.load_model(tmp_path / "m.keras").card
        assert card.stated() == stated
        for text in forms(card):
            for value in list(stated.values())[1:]:
                assert value in text

    def test_change_neither_answers_nor_digest(self, model):
        """A map that was begun with the model goes on after its licence was added."""
        from pyxem_mlmaps.models.packed import digest

        assert digest(model.with_card(author="A")) == digest(model)
        assert digest(model.with_card(seed=7)) != digest(model)

    def test_a_file_without_them_is_of_the_first_format(self, model):
        """So that earlier versions of the package read it."""
        from pyxem_mlmaps.models.io import header_of

        assert header_of(model)["format_version"] == 1
        assert not {"author", "licence"} & set(header_of(model)["card"])
        assert header_of(model.with_card(author="A"))["format_version"] == 2

    def test_a_word_that_is_not_a_field(self, model):
        with pytest.raises(TypeError, match=r"with_card\(license=.*'licence'"):
            model.with_card(license="MIT")

    @pytest.mark.parametrize(
        "change", [{"author": 3}, {"licence": None}, {"citation": "x" * 5000}, {"name": "../x"},
                   {"name": "a b"}, {"name": "x" * 65}]
    )  # fmt: skip
    def test_are_checked(self, model, change):
        with pytest.raises(ValueError, match=next(iter(change))):
            model.with_card(**change)

    @pytest.mark.parametrize(
        "change",
        [
            {"energy": "300"},
            {"crystal": [1]},
            {"library": [1]},
            {"versions": None},
            {"noise": {"dose": "much"}},
            {"validation": {"bare": {"rms": ["<b>", 1, 2], "within_one_sigma": [1, 1, 1]}}},
            {"validation": {"bare": {"rms": [1, 2], "within_one_sigma": [1, 1, 1]}}},
        ],
    )
    def test_what_the_page_needs_is_checked(self, model, change):
        with pytest.raises((ValueError, TypeError)):
            model.with_card(**change)

    @pytest.mark.parametrize("change", [{"crystals": [1]}, {"versions": []}])
    def test_what_the_page_of_disks_needs_is_checked(self, shipped, change):
        with pytest.raises(ValueError, match=next(iter(change))):
            shipped.with_card(**change)


class TestForeignText:
    """A card from elsewhere may say anything; nothing of it becomes markup."""

    @pytest.fixture
    def evil(self, model):
        crystal = model.card.crystal | {"name": EVIL, "space_group": EVIL}
        statements = dict.fromkeys(("description", "author", "licence", "citation", "limits"), EVIL)
        return model.with_card(
            crystal=crystal, versions={EVIL: EVIL}, library=[{"zone_axis": [EVIL]}], **statements
        ).card

    def test_html(self, evil, model):
        for text in (evil._repr_html_(), html_document(evil.page())):
            seen = Tags(text)
            assert "script" not in seen.tags and not seen.open
            assert seen.text.count(EVIL) >= 8
        assert set(Tags(evil._repr_html_()).tags) == set(
            Tags(model.with_card(description="d")._repr_html_()).tags
        )

    def test_a_disk_card(self, shipped):
        evil = shipped.with_card(crystals=[{"name": EVIL, "zone_axis": [EVIL]}]).card
        assert "script" not in Tags(evil._repr_html_()).tags

    def test_markdown(self, evil):
        text = as_markdown(evil.page())
        assert "<script" not in text and "&lt;script&gt;" in text

    def test_markdown_table_and_links(self):
        row = ("a | b", "[click](https://x.org)", "`code`\n| new row |")
        text = as_markdown(Page("t", "", (Section("s", table=(("1", "2", "3"), row)),)))
        line = text.splitlines()[-2]
        assert line.count("|") - line.count("\\|") == 4
        assert "\\[click\\]" in text and "\\`code" in text

    def test_a_terminal_obeys_nothing(self, model):
        text = str(model.with_card(author="\x1b[31mred\x07\n\nOrigin\r").card)
        assert "\x1b" not in text and "\x07" not in text and "\r" not in text
        assert "�[31mred� Origin" in text

    def test_empty_page(self):
        page = Page("", "", ())
        assert as_text(page) == "\n" and as_markdown(page) and as_html(page)
