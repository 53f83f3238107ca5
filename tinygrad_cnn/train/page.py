"""The report's page: its frame, its look, and the few lines of JavaScript that paint the digits.

Everything is in the one file: no font, style sheet or script comes from anywhere else, so that the page reads the same
from a mail attachment, behind a firewall, and in ten years. The look follows the reader's light or dark setting.
"""

from string import Template

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16191f; --soft: #5b6472; --line: #dfe3e8;
  --right: 37 99 235; --wrong: 234 88 12;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101318; --card: #191d24; --ink: #e8eaee; --soft: #9aa4b2; --line: #2b313b;
    --right: 96 165 250; --wrong: 251 146 60;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: clamp(1.7rem, 4vw, 2.3rem); line-height: 1.15; letter-spacing: -0.02em; margin: 0; }
h2 { font-size: 1.15rem; letter-spacing: -0.01em; margin: 0 0 0.25rem; }
header p, section > p { color: var(--soft); margin: 0.35rem 0 0; max-width: 56rem; text-wrap: pretty; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.4rem 1.5rem; margin-top: 1.25rem;
}
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.75rem; margin: 1.5rem 0 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 0.85rem 1.1rem; }
.figures dt { color: var(--soft); font-size: 0.85rem; }
.figures dd { margin: 0; font-size: 1.55rem; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
.drawing { margin-top: 1rem; overflow-x: auto; }
.drawing svg { display: block; width: 100%; height: auto; }
.paper { background: #ffffff; border-radius: 8px; }
.paper svg { width: auto; margin: 0 auto; }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: separate; border-spacing: 2px; font-variant-numeric: tabular-nums; }
.confusion { margin: 0 auto; font-size: 0.92rem; }
.confusion th { color: var(--soft); font-weight: 600; padding: 0.2rem 0.5rem; }
.confusion td { min-width: 3.1rem; padding: 0.42rem 0.3rem; text-align: center; border-radius: 5px; }
.confusion td.recall { color: var(--soft); padding-left: 0.8rem; text-align: right; white-space: nowrap; }
.right { background: rgb(var(--right) / var(--share)); font-weight: 600; }
.wrong { background: rgb(var(--wrong) / var(--share)); }
.none { color: var(--soft); opacity: 0.6; }
.digits { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.2rem, 1fr)); gap: 1rem 0.75rem; margin-top: 1.1rem; }
.digits figure { text-align: center; font-size: 0.85rem; line-height: 1.35; }
canvas {
  width: 84px; height: 84px; image-rendering: pixelated; background: #ffffff; border: 1px solid #c9ced6; border-radius: 6px;
}
figcaption span { color: var(--soft); }
figcaption b { font-size: 1rem; }
.facts { margin-top: 0.75rem; font-size: 0.92rem; border-spacing: 0; width: 100%; }
.facts th {
  text-align: left; vertical-align: top; white-space: nowrap; color: var(--soft); font-weight: 500;
  padding: 0.3rem 1.2rem 0.3rem 0;
}
.facts td { padding: 0.3rem 0; overflow-wrap: anywhere; width: 100%; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
:focus-visible { outline: 2px solid rgb(var(--right)); outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  canvas { filter: invert(0.93); }
  .paper { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }
}
@media (max-width: 40rem) {
  main { padding: 1.5rem 0.75rem 3rem; }
  section { padding: 1.1rem 0.9rem; }
  .figures { grid-template-columns: repeat(2, 1fr); }
  .figures dd { font-size: 1.3rem; }
  .confusion { font-size: 0.62rem; letter-spacing: -0.02em; border-spacing: 1px; width: 100%; }
  .confusion th { padding: 0.1rem; }
  .confusion td { min-width: 1.4rem; padding: 0.3rem 0; border-radius: 3px; }
  .confusion td.recall { padding-left: 0.2rem; }
  .drawing.wide svg { min-width: 40rem; }
}
"""

SCRIPT = """
for (const canvas of document.querySelectorAll("canvas[data-pixels]")) {
  const grey = atob(canvas.dataset.pixels), context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  // Black ink everywhere; the grey level is its opacity.
  for (let i = 0; i < grey.length; i++) picture.data[4 * i + 3] = grey.charCodeAt(i);
  context.putImageData(picture, 0, 0);
}
"""

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<header>
<h1>$title</h1>
<p>$subtitle</p>
<dl class="figures">
$figures
</dl>
</header>
$sections
</main>
<script>$script</script>
</body>
</html>
""")
