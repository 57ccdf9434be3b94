"""How the page looks, in light and dark."""

from __future__ import annotations

from typing import Any

from mgimm_plugin.webpage.session import Limits

_STYLE = """
.gradio-container { max-width: 1500px !important; overflow-x: clip; }
.mg-head { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1rem; padding: .3rem 0; }
.mg-head h1 { font-size: 1.45rem; font-weight: 700; letter-spacing: -.01em; margin: 0; }
.mg-head p { margin: 0; color: var(--body-text-color-subdued); }
#mg-flow { display: grid; gap: var(--layout-gap); align-items: start; grid-template-columns: minmax(0, 1fr); }
#mg-flow > .column { min-width: 0 !important; }
@media (min-width: 900px) {
  #mg-flow { grid-template: "draw ask read" auto "more more read" 1fr / 5fr 2.2fr 6fr; }
  #mg-draw { grid-area: draw; } #mg-ask { grid-area: ask; } #mg-read { grid-area: read; } #mg-more { grid-area: more; }
}
.mg-step h2 { font-size: .95rem; font-weight: 650; margin: 0; display: flex; align-items: center; gap: .5rem; }
.mg-step b { display: inline-grid; place-items: center; width: 1.5rem; height: 1.5rem; border-radius: 50%;
  background: var(--color-accent); color: #fff; font-size: .8rem; }
.mg-picture svg { display: block; width: 100%; max-height: 340px; border-radius: var(--radius-lg);
  background: var(--background-fill-secondary); }
.mg-box rect { fill: transparent; stroke: var(--c); stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.mg-box rect.mg-tag { fill: var(--c); stroke: none; }
.mg-box text { fill: var(--ink); font-weight: 700; text-anchor: middle; }
#mg-examples .grid-wrap { height: auto; min-height: 0; max-height: none; overflow: hidden; }
/* An error is told by a toast; gradio would lay another sign over every part that the answer was for. */
[data-testid="status-tracker"]:has(> .error) { display: none !important; }
#mg-examples .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; }
.mg-table, .mg-table :is(thead, tbody, tr) { border: 0 !important; }
.mg-table { width: 100%; border-collapse: collapse; table-layout: fixed; }
.mg-table th { text-align: left; font-size: .75rem; font-weight: 600; color: var(--body-text-color-subdued); }
.mg-table :is(th, td) { padding: .4rem .35rem !important; vertical-align: top; overflow-wrap: anywhere;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; }
.mg-table :is(th, td):first-child { width: 2.7rem; white-space: nowrap; overflow-wrap: normal; }
.mg-table :is(th, td):last-child { width: 3.6rem; text-align: right; font-variant-numeric: tabular-nums; }
.mg-table abbr { text-decoration: none; color: inherit; font-weight: inherit; }
.mg-number, .mg-told sup { display: inline-grid; place-items: center; min-width: 1.45rem; height: 1.45rem;
  padding: 0 .3rem; border-radius: .4rem; background: var(--c); color: var(--ink); font-weight: 700;
  font-size: .78rem; }
.mg-told sup { min-width: 1.05rem; height: 1.05rem; font-size: .64rem; margin-left: .15rem; padding: 0 .2rem;
  top: -.2em; }
.mg-chip { display: inline-block; margin: .25rem .25rem 0 0; padding: 0 .5rem; border-radius: 1rem; font-size: .75rem;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary); }
.mg-label { font-size: .75rem; color: var(--body-text-color-subdued); }
.mg-low { color: var(--error-text-color, #b3261e); }
.mg-empty { color: var(--body-text-color-subdued); }
.mg-told { line-height: 1.7; margin: .2rem 0; }
.mg-told, .mg-phrase { white-space: pre-wrap; }
.mg-sentence { border-radius: .3rem; transition: background .12s; }
.mg-sentence[tabindex] { cursor: default; border-bottom: 1px dotted var(--body-text-color-subdued); }
:is(.mg-row, .mg-sentence[tabindex]):is(:hover, :focus) { background: var(--color-accent-soft); outline: none; }
:is(.mg-row, .mg-sentence[tabindex]):focus-visible { outline: 2px solid var(--color-accent); }
@media (max-width: 700px) {
  .gradio-container { padding: .5rem !important; }
  .mg-head h1 { font-size: 1.2rem; }
}
"""


def css(limits: Limits) -> str:
    """The style sheet; box, row and sentence of one number light up together."""
    lit = [
        f".mg-page:has(.mg-r{n}:is(:hover, :focus)) .mg-box.mg-r{n} rect:first-child"
        "{fill:color-mix(in srgb,var(--c) 38%,transparent);stroke-width:5}\n"
        f".mg-page:has(.mg-r{n}:is(:hover, :focus)) :is(.mg-row, .mg-sentence).mg-r{n}"
        "{background:var(--color-accent-soft)}"
        for n in range(1, limits.boxes + 1)
    ]
    return _STYLE + "\n".join(lit)


def theme() -> Any:
    """Gradio's default theme in the project's green, without fonts from elsewhere."""
    import gradio as gr

    return gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
