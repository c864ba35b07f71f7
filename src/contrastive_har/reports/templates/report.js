"use strict";
// Tables: a click on the head of a column sorts by it, the field above filters rows.
const numberOf = (text) => (text.match(/^[<+\u2212-]?\d[\d,]*\.?\d*/) ? parseFloat(text.replace(/[<,]/g, "").replace("\u2212", "-")) : NaN);
const compare = (a, b) => {
  const [x, y] = [numberOf(a), numberOf(b)];
  return isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
};
for (const table of document.querySelectorAll("table:has(thead)")) {
  const [first, second] = table.tHead.rows;
  const heads = second ? [...[...first.cells].filter((cell) => cell.rowSpan > 1), ...second.cells] : [...first.cells];
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const falling = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      const text = (row) => row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => falling * compare(text(a), text(b)));
      table.tBodies[0].append(...rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling < 0 ? "descending" : "ascending");
    };
  });
  if (table.tBodies[0].rows.length < 6) continue;
  const field = Object.assign(document.createElement("input"), { type: "search", placeholder: "words of a row" });
  field.oninput = () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  };
  const label = Object.assign(document.createElement("label"), { className: "filter", textContent: "Filter rows: " });
  label.append(field);
  table.parentElement.before(label);
}

// Figures: a chart takes the place of its picture; switches choose among its traces by their meta.
const SYMBOLS = { circle: "●", square: "■", "triangle-up": "▲", diamond: "◆", "triangle-down": "▼", star: "★", cross: "✚", x: "✖" };
const unpack = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const element = (tag, text, ...inside) => {
  const made = document.createElement(tag);
  made.append(...(text ? [text] : []), ...inside);
  return made;
};
function draw(figure, chart) {
  const plot = element("div");
  const nothing = Object.assign(element("p", "Nothing was computed for this choice."), { className: "note", hidden: true, role: "status" });
  const switches = Object.assign(element("div"), { className: "switches" });
  const values = (name) => [...new Set(chart.data.map((trace) => (trace.meta || {})[name]).filter((value) => value !== undefined))];
  const chosen = {};
  const shown = () => chart.data.map(({ meta = {} }) => Object.entries(chosen).every(([name, set]) => !(name in meta) || set.has(meta[name])));
  const update = () => {
    nothing.hidden = shown().some(Boolean);
    Plotly.restyle(plot, { visible: shown() });
  };
  for (const [name, kind] of Object.entries(chart.choices)) {
    const options = values(name);
    if (options.length < 2) continue;
    if (kind === "one") {
      const select = element("select", "", ...options.map((option) => element("option", option)));
      chosen[name] = new Set([options[0]]);
      select.onchange = () => { chosen[name] = new Set([select.value]); update(); };
      switches.append(element("label", `${name} `, select));
      continue;
    }
    chosen[name] = new Set(options);
    const boxes = options.map((option) => {
      const box = Object.assign(element("input"), { type: "checkbox", checked: true });
      box.onchange = () => { chosen[name][box.checked ? "add" : "delete"](option); update(); };
      const { marker = {}, line = {} } = chart.data.find((trace) => (trace.meta || {})[name] === option);
      const sample = Object.assign(element("span", SYMBOLS[marker.symbol] || "●"), { ariaHidden: "true" });
      sample.style.color = marker.color || line.color;
      return element("label", "", box, sample, ` ${option}`);
    });
    const all = Object.assign(element("button", "all or none"), { type: "button" });
    all.onclick = () => {
      chosen[name] = new Set(chosen[name].size ? [] : options);
      boxes.forEach((label) => { label.firstChild.checked = chosen[name].size > 0; });
      update();
    };
    switches.append(element("fieldset", "", element("legend", name), ...boxes, all));
  }
  figure.classList.add("drawn");
  figure.prepend(switches, plot, nothing);
  const scale = figure.clientWidth < 600 ? { showscale: false } : {}; // more room for the matrix on a phone
  const data = chart.data.map((trace, index) => ({ ...trace, ...scale, visible: shown()[index] }));
  Plotly.newPlot(plot, data, chart.layout, { responsive: true, displayModeBar: false });
}
(async () => {
  if (!window.DecompressionStream || !document.getElementById("charts")) return;
  const charts = JSON.parse(await unpack("charts"));
  document.head.append(element("script", await unpack("plotly")));
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      draw(target, charts[target.dataset.chart]);
    }
  }, { rootMargin: "800px" });
  document.querySelectorAll("figure[data-chart]").forEach((figure) => near.observe(figure));
})();
