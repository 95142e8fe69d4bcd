"""The report as a reader has it: in a Chromium, by light and by dark, wide and narrow, by keyboard and on paper."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from keras import layers

from advisor import advise
from advisor.facts.probes import ProbeFailure
from advisor.race.result import LeftOut, RaceResult, Standing
from advisor.race.statistics import Interval
from advisor.report import to_html
from advisor.rules.examination import RuleFailure
from tests.advisor.report.conftest import small_cnn
from tests.advisor.report.html.conftest import residual

HISTORY = {
    "loss": [1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.16, 0.13, 0.1],
    "val_loss": [1.0, 0.8, 0.7, 0.66, 0.65, 0.68, 0.72, 0.77, 0.83, 0.9],
    "accuracy": [0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.84, 0.87, 0.9, 0.92],
    "val_accuracy": [0.3, 0.4, 0.5, 0.55, 0.58, 0.57, 0.57, 0.56, 0.55, 0.55],
}

CONTRASTS = """() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => { probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data]; };
  const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (element, x, y) => {
    const svg = element.closest('svg');
    if (svg) {
      const shapes = [...svg.querySelectorAll('path, rect')].filter(shape => {
        const fill = getComputedStyle(shape).fill, box = shape.getBoundingClientRect();
        return fill !== 'none' && box.left <= x && x <= box.right && box.top <= y && y <= box.bottom && box.height > 14
          && shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING; });
      if (shapes.length) return rgb(getComputedStyle(shapes.at(-1)).fill);
    }
    for (let e = svg ? svg.parentElement : element; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found[3] > 250) return found;
    }
    return rgb(getComputedStyle(document.documentElement).getPropertyValue('--page'));
  };
  const results = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('style, title')) continue;
    const range = document.createRange(); range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width) continue;
    const style = getComputedStyle(element);
    const front = light(rgb(element.closest('svg') ? style.fill : style.color));
    const back = light(behind(element, box.left + box.width / 2, box.top + box.height / 2));
    const scale = element.ownerSVGElement ? element.getScreenCTM().a : 1;
    results.push({text: node.data.trim().slice(0, 40), size: parseFloat(style.fontSize) * scale,
      contrast: (Math.max(front, back) + .05) / (Math.min(front, back) + .05)});
  }
  return results;
}"""


@pytest.fixture(scope="module")
def full_page(advice, tmp_path_factory):
    """A report of everything there is: measurements, curves, a race, an export, and what failed."""
    x = np.ones((32, 8, 8, 1), "float32") * np.linspace(-1, 1, 32, dtype="float32").reshape(-1, 1, 1, 1)
    told = advise(small_cnn(), batch_size=4, epochs=10, data=(x, np.arange(32) % 4), history=HISTORY)
    examination = dataclasses.replace(
        told.examination,
        failures=(RuleFailure("X999", "ValueError: broken", "Traceback of it"),),
        not_measured=(ProbeFailure("activations", "RuntimeError: out of memory"),),
        ignored=told.examination.findings[:1],
    )
    export = told.export(tmp_path_factory.mktemp("export") / "small", "saved_model")
    return to_html(examination, told.plan, told.rewrite(), race=race_result(), export=export)


def race_result():
    def standing(name, values, difference, verdict, rung="final"):
        mean = float(np.mean(values))
        return Standing(name, name, (), mean, 1.0, values, difference, verdict, rung, 30, 12.0)

    standings = (
        standing("as-advised", (90.0, 91.0, 92.0), Interval(4.0, 1.5, 3), "better"),
        standing("original", (86.0, 87.0, 88.0), None, None),
        standing("dropout-0.2", (80.0,), None, "not in the final", "heats"),
    )
    return RaceResult(
        standings, (LeftOut("wide", "a wide one", "the budget did not reach so far"),), "accuracy", True, 200, 3, 10,
        "5m", 40.0, ("A note.",), winner="as-advised",
    )  # fmt: skip


def opened(chromium, html, tmp_path, *, width=1280, scheme="light"):
    """The page in a browser, which fails the test on any message or request."""
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_quiet_fits_and_can_be_read(chromium, full_page, tmp_path, width, scheme):
    page = opened(chromium, full_page, tmp_path, width=width, scheme=scheme)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 200
    assert not [text for text in texts if text["contrast"] < 4.5]
    assert not [text for text in texts if text["size"] < (9 if width == 1280 else 8)]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints == []
    page.close()


def test_pictures_take_the_colours_of_the_page(chromium, full_page, tmp_path):
    assert not re.search(r"#fe[0-9a-f]{2}ef", full_page)
    fills = []
    for scheme in ("light", "dark"):
        page = opened(chromium, full_page, tmp_path, scheme=scheme)
        fills.append(page.evaluate("getComputedStyle(document.querySelector('.picture svg text')).fill"))
        page.close()
    assert fills[0] != fills[1]


def test_before_and_after_stand_side_by_side_and_one_under_the_other_where_it_is_narrow(chromium, full_page, tmp_path):
    places = """() => {
      const [one, other] = [...document.querySelectorAll('.picture')].map(e => e.getBoundingClientRect());
      return [other.left - one.right, other.top - one.bottom, one.width - other.width]; }"""
    page = opened(chromium, full_page, tmp_path)
    right, _, wider = page.evaluate(places)
    assert right >= 0
    assert wider == 0
    page.set_viewport_size({"width": 400, "height": 800})
    _, below, _ = page.evaluate(places)
    assert below >= 0
    page.close()


@pytest.fixture(scope="module")
def folding_page():
    told = advise(residual(12), batch_size=2, epochs=10, steps_per_epoch=100)
    return to_html(told.examination, told.plan, told.rewrite())


def test_blocks_open_and_close_by_keyboard(chromium, folding_page, tmp_path):
    page = opened(chromium, folding_page, tmp_path)
    fold = page.locator(".drawing details").first
    assert fold.get_attribute("open") is None
    fold.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("open") is not None
    assert fold.locator("svg").first.is_visible()
    page.keyboard.press("Space")
    assert fold.get_attribute("open") is None
    page.close()


def test_links_lead_from_a_layer_to_its_finding_and_back_into_a_closed_block(chromium, folding_page, tmp_path):
    page = opened(chromium, folding_page, tmp_path)
    card = page.locator(".card").first
    link = card.locator(".where a").first
    target = link.get_attribute("href")[1:]
    assert not page.locator(f"[id='{target}']").is_visible()
    link.click()
    assert page.locator(f"[id='{target}']").is_visible()
    code = page.locator(f"[id='{target}'] a").first
    href = code.get_attribute("href")
    code.click()
    assert page.evaluate("location.hash") == href
    assert page.locator(href).is_visible()
    broken = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
        ".filter(id => !document.getElementById(id))"
    )
    assert broken == []
    page.close()


def test_ids_are_unique(full_page, folding_page):
    for page in (full_page, folding_page):
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_paper_shows_what_is_folded(chromium, folding_page, tmp_path):
    page = opened(chromium, folding_page, tmp_path, scheme="dark")
    assert page.pdf(format="A4").startswith(b"%PDF")
    visible = "[...document.querySelectorAll('.drawing .inside')].map(e => e.checkVisibility())"
    assert set(page.evaluate(visible)) == {False}
    page.emulate_media(media="print")
    assert set(page.evaluate(visible)) == {True}
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--text').trim()") == "#1d232b"
    page.close()


def test_what_folds_says_how_many_layers_and_how_many_of_them_changed(folding_page):
    summaries = re.findall(r"<summary>(.*?)</summary>", folding_page.split('id="details"')[0], re.DOTALL)
    assert len(summaries) >= 12
    assert all(re.search(r"\d+ layers<br><span class=\"changes\">\d+ changed", summary) for summary in summaries[:12])


def test_hostile_names_are_text(chromium, tmp_path):
    image = keras.Input((8, 8, 3), name="in")
    x = layers.Conv2D(8, 3, name="<script>alert(1)<@script>")(image)
    x = layers.BatchNormalization(name='"quo\'te" & $x^{2$ 层 \u202e \x07')(x)
    x = layers.ReLU(name="a" * 300)(x)
    x = layers.Dense(3, name="`</code><img src=x onerror=alert(2)>`".replace("/", "|"))(layers.Flatten()(x))
    told = advise(keras.Model(image, x, name="<b>bold<b>"), batch_size=2, epochs=10, steps_per_epoch=100)
    page = opened(chromium, to_html(told.examination, told.plan, told.rewrite()), tmp_path)
    assert page.locator("h1").inner_text() == "<b>bold<b>"
    assert page.locator("script, img, iframe, object").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.complaints == []
    page.close()


def test_a_model_with_nothing_to_say_of_it(chromium, tmp_path):
    told = advise(keras.Sequential([keras.Input((4,)), layers.Dense(2, name="dense")], name="clean"))
    assert told.findings == ()
    path = tmp_path / "clean.html"
    told.save_html(path, verbose=0)
    page = opened(chromium, path.read_text("utf-8"), tmp_path)
    assert page.locator("text=Nothing found.").is_visible()
    assert page.locator(".picture").count() == 1
    assert page.complaints == []
    page.close()


def test_what_was_not_run_stands_there_with_its_reason(full_page):
    left = full_page.split('id="left"')[1]
    for said in ("X999 failed", "ValueError: broken", "Traceback of it", "out of memory", "ignored", "missing: "):
        assert said in left


def test_race_and_curves_are_drawn(full_page):
    assert "As-advised beats the original by 4.0 ± 1.5 points of accuracy" in full_page
    assert "val_loss: best 0.65 in epoch 5, last 0.9" in full_page
    assert "Not raced, as the budget did not reach so far: <code>wide</code>" in full_page


def test_every_finding_has_its_place_with_reference_fix_and_code(advice):
    page = to_html(advice.examination, advice.plan, advice.rewrite())
    for number, finding in enumerate(advice.findings):
        place = page.split(f'id="finding-{number}"')[1].split('class="place"')[0]
        assert finding.layers == () or all(f"<code>{layer}</code>" in place for layer in finding.layers)
        assert all(reference.url in page for reference in finding.references)
    assert "- keras.layers.Conv2D(filters=8, kernel_size=(3, 3), name=&#39;conv1&#39;)" in page
    assert "+ keras.layers.Conv2D(filters=8, kernel_size=(3, 3), use_bias=False, name=&#39;conv1&#39;)" in page


def test_the_same_advice_is_the_same_page(siamese_advice, siamese_rewrite):
    told = siamese_advice
    pages = {to_html(told.examination, told.plan, siamese_rewrite) for _ in range(2)}
    assert len(pages) == 1


def test_the_style_of_a_user_of_matplotlib_changes_nothing(siamese_advice, siamese_rewrite):
    import matplotlib

    told = siamese_advice
    plain = to_html(told.examination, told.plan, siamese_rewrite)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert to_html(told.examination, told.plan, siamese_rewrite) == plain
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("path", ["report.pdf", "no/such/folder/report.html"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(siamese_advice, tmp_path, path):
    with pytest.raises((ValueError, OSError), match="Received: "):
        siamese_advice.save_html(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DenseNet121", "EfficientNetB0"])
def test_four_hundred_layers_can_be_read(chromium, tmp_path, name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3))
    told = advise(model, batch_size=2, epochs=20, steps_per_epoch=100)
    told.save_html(tmp_path / "large.html", verbose=0)
    page = opened(chromium, (tmp_path / "large.html").read_text("utf-8"), tmp_path)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > len(model.layers)
    assert min(text["size"] for text in texts) >= 9
    assert min(text["contrast"] for text in texts) >= 4.5
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.complaints == []
    page.close()
