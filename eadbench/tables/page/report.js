/* The page's behaviour. No network: everything comes from data.js and the files beside it. */
"use strict";

const DATA = window.EADBENCH;
const FRAME = 1 / 25; // seconds; all videos run at 25 frames per second
const byId = (id) => document.getElementById(id);
const TINTS = { ours: "#0b6fc0", other: "#d55e00", ablation: "#009e73", control: "#8a8f96", ground_truth: "#b8860b" };
const LINES = ["#0b6fc0", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8a8f96", "#7a5195"];

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text, selected: value === chosen })));
}

const methodLabel = (m) => (DATA.methods[m] ? DATA.methods[m].label : m);
const corpusLabel = (c) => DATA.corpora[c] || c;
const metricOf = (key) => DATA.metrics[key.split("@")[0]] || { label: key, direction: "none", decimals: 3, ideal: null, meaning: "" };
const metricLabel = (key) => metricOf(key).label + (key.includes("@") ? ` (${key.split("@")[1]})` : "");
const arrow = (m) => ({ up: " ↑", down: " ↓" })[m.direction] || (m.ideal === null ? "" : ` →${m.ideal}`);
const cellKey = (corpus, protocol) => `${corpus}/${protocol}`;
const cellLabel = (key) => {
  const [corpus, protocol] = [key.slice(0, key.lastIndexOf("/")), key.slice(key.lastIndexOf("/") + 1)];
  return corpusLabel(corpus) + (protocol === "self" ? "" : ` (${protocol.replace("_", " ")})`);
};
const show = (value, decimals) => (value === null || value === undefined ? "–" : value.toFixed(decimals).replace("-", "−"));
const isDrawn = (key) => DATA.drawn.includes(key.slice(0, key.lastIndexOf("/")));
const markOf = (key) => (isDrawn(key) ? DATA.mark : "");
/* Corpus and protocol of the first cell whose clips have emotion labels; the first of all if none has. */
const firstLabelled = (cells) => {
  const row = DATA.breakdown.find((r) => r[4] === "emotion" && cells.includes(`${r[1]}/${r[2]}`) && r[2] === "self");
  return row ? `${row[1]}/${row[2]}` : cells[0];
};
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const unique = (items) => [...new Set(items)];

/* ---- tables: sort and filter ---- */

/* First click: the better values first; second: the reverse; third: the original order. */
function sortTable(table, column, header) {
  const [first, second] = header.dataset.better === "up" ? ["descending", "ascending"] : ["ascending", "descending"];
  const next = { none: first, [first]: second, [second]: "none" }[header.getAttribute("aria-sort")];
  for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", next);
  const body = table.tBodies[0];
  if (next === "none") {
    body.append(...[...body.rows].sort((a, b) => a.dataset.place - b.dataset.place));
    return;
  }
  const ascending = next === "ascending";
  const key = (row) => row.cells[column].dataset.sort ?? "";
  const rows = [...body.rows];
  const numeric = rows.every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
  rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // rows without a value stay at the end
    const order = numeric ? Number(x) - Number(y) : x.localeCompare(y);
    return ascending ? order : -order;
  });
  body.append(...rows);
}

function filterTable(table, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    row.hidden = !words.every((word) => row.dataset.text.includes(word));
    shown += !row.hidden;
  }
  const status = document.querySelector(`[data-count="${table.id}"]`);
  if (!status) return;
  if (!words.length) status.textContent = "";
  else status.textContent = shown ? `${shown} of ${table.tBodies[0].rows.length} rows` : `No row holds “${text.trim()}”.`;
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tBodies[0].rows].forEach((row, place) => (row.dataset.place = place));
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((header, column) => header.querySelector("button").addEventListener("click", () => sortTable(table, column, header)));
}
for (const input of document.querySelectorAll("[data-filter]")) {
  input.addEventListener("input", () => filterTable(byId(input.dataset.filter), input.value));
}

/* ---- charts ---- */

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map(); // element -> function that gives [traces, layout]

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function baseLayout(extra) {
  const axis = { gridcolor: style("--line"), zerolinecolor: style("--line"), linecolor: style("--line"), automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: style("--ink"), size: 12, family: "system-ui, sans-serif" },
    margin: { l: 8, r: 12, t: 8, b: 36 }, hoverlabel: { font: { family: "system-ui, sans-serif" } }, showlegend: false, ...extra,
  };
  for (const name of Object.keys(layout).filter((k) => /^[xy]axis/.test(k))) layout[name] = { ...axis, ...layout[name] };
  for (const name of ["xaxis", "yaxis"]) layout[name] = { ...axis, ...layout[name] };
  return layout;
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      watcher.unobserve(entry.target);
      render(entry.target);
    }
  }
}, { rootMargin: "300px" });

/* The mark of a figure's data (drawn people) is below it, on the right. */
function marked(layout, text) {
  if (!text) return layout;
  const below = (layout.margin || { b: 36 }).b;
  const note = { text: plain(text), xref: "paper", yref: "paper", x: 1, y: 0, yshift: -below, xanchor: "right", yanchor: "top", showarrow: false, font: { size: 10, color: style("--soft") }, name: "mark" };
  return { ...layout, height: layout.height + 16, margin: { l: 8, r: 12, t: 8, ...layout.margin, b: below + 16 }, annotations: [...(layout.annotations || []), note] };
}

function render(node) {
  const [traces, made, mark] = drawn.get(node)();
  const layout = marked(made, mark);
  node.style.minHeight = `${layout.height}px`;
  window.Plotly.react(node, traces, baseLayout(layout), { displayModeBar: false, responsive: true, displaylogo: false });
}

/* A legend above the plot, where it covers no axis title. */
const LEGEND = { showlegend: true, legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" } };

/* Draw when the element comes near the viewport; draw again when the colour scheme changes. */
function chart(node, make) {
  drawn.set(node, make);
  watcher.unobserve(node);
  watcher.observe(node);
}
dark.addEventListener("change", () => {
  for (const node of drawn.keys()) if (node.classList.contains("js-plotly-plot")) render(node);
});

/* Text without the few tags that Plotly interprets. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const SCORES = new Map(); // corpus/protocol -> metric key -> rows
const VARIANTS = new Map(); // metric -> its variants
for (const row of DATA.scores) VARIANTS.set(row.metric, (VARIANTS.get(row.metric) || new Set()).add(row.variant));
for (const row of DATA.scores) {
  const cell = cellKey(row.corpus, row.protocol);
  const key = row.metric + (VARIANTS.get(row.metric).size > 1 && row.variant ? `@${row.variant}` : "");
  if (!SCORES.has(cell)) SCORES.set(cell, new Map());
  const metrics = SCORES.get(cell);
  if (!metrics.has(key)) metrics.set(key, []);
  metrics.get(key).push(row);
}
const METHOD_ORDER = Object.keys(DATA.methods);
const inOrder = (rows) => [...rows].sort((a, b) => METHOD_ORDER.indexOf(a.method) - METHOD_ORDER.indexOf(b.method));

const whiskers = (rows) => ({
  type: "data", symmetric: false, thickness: 1.4, width: 0, color: style("--soft"),
  array: rows.map((r) => (r.high === null ? 0 : r.high - r.value)), arrayminus: rows.map((r) => (r.low === null ? 0 : r.value - r.low)),
});
const withInterval = (r, decimals) => `${show(r.value, decimals)} [${show(r.low, decimals)}, ${show(r.high, decimals)}], n = ${r.n}`;

function dotPlot(key, rows, cell) {
  const info = metricOf(key);
  const sorted = inOrder(rows).reverse();
  return () => {
    const trace = {
      type: "scatter", mode: "markers", x: sorted.map((r) => r.value), y: sorted.map((r) => plain(methodLabel(r.method))),
      marker: { size: 9, color: sorted.map((r) => TINTS[DATA.methods[r.method].role]) },
      error_x: whiskers(sorted),
      text: sorted.map((r) => withInterval(r, info.decimals)),
      hovertemplate: "%{y}: %{text}<extra></extra>",
    };
    const shapes = info.ideal === null ? [] : [{ type: "line", x0: info.ideal, x1: info.ideal, yref: "paper", y0: 0, y1: 1, line: { dash: "dot", color: style("--soft") } }];
    return [[trace], { height: 48 + 24 * sorted.length, margin: { l: 8, r: 12, t: 4, b: 28 }, shapes, yaxis: { type: "category", tickfont: { size: 11 } } }, markOf(cell)];
  };
}

function drawDots() {
  const metrics = SCORES.get(byId("c-cell").value);
  const all = byId("c-all").checked;
  const inTables = ([name, variant]) => DATA.shown.includes(name) && (!variant || !DATA.variants[name] || DATA.variants[name] === variant);
  const keys = [...metrics.keys()].filter((k) => all || inTables(k.split("@")));
  keys.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  for (const node of [...drawn.keys()].filter((n) => byId("dots").contains(n))) drawn.delete(node);
  const cards = keys.map((key) => {
    const node = element("div", { className: "chart", role: "img" });
    node.setAttribute("aria-label", `${metricLabel(key)} of all methods with intervals: ` + inOrder(metrics.get(key)).map((r) => `${methodLabel(r.method)} ${show(r.value, metricOf(key).decimals)}`).join(", "));
    const card = element("div", { className: "card" }, element("h3", { textContent: metricLabel(key) + arrow(metricOf(key)) }), element("p", { className: "sub", textContent: sentence(metricOf(key).meaning) }), node);
    return [card, node, key];
  });
  byId("dots").replaceChildren(...cards.map((c) => c[0]));
  for (const [, node, key] of cards) chart(node, dotPlot(key, metrics.get(key), byId("c-cell").value));
  drawOverview(metrics, keys);
}

/* A method that moves less has less jitter, so jitter is always shown with the motion energy. */
const MOTION = "motion_energy_ratio";
const isJitter = (key) => key.startsWith("jitter");

function rank(key) {
  const name = key.split("@")[0];
  const index = DATA.shown.indexOf(isJitter(name) && DATA.shown.includes(MOTION) ? MOTION : name);
  return index < 0 ? DATA.shown.length : index - 0.5 * isJitter(name);
}

function drawOverview(metrics, keys) {
  const axes = keys.filter((k) => metricOf(k).direction !== "none" && metrics.get(k).length > 1);
  const methods = METHOD_ORDER.filter((m) => axes.some((k) => metrics.get(k).some((r) => r.method === m)));
  const height = (key, value) => {
    const values = metrics.get(key).map((r) => r.value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const part = high === low ? 0.5 : (value - low) / (high - low);
    return metricOf(key).direction === "up" ? part : 1 - part;
  };
  chart(byId("overview"), () => {
    const traces = methods.map((m, k) => {
      const rows = axes.map((key) => metrics.get(key).find((r) => r.method === m));
      const role = DATA.methods[m].role;
      return {
        type: "scatter", mode: "lines+markers", name: plain(methodLabel(m)), connectgaps: false,
        x: axes.map((key) => plain(metricLabel(key) + arrow(metricOf(key)))), y: rows.map((r, i) => (r ? height(axes[i], r.value) : null)),
        line: { color: LINES[k % LINES.length], width: role === "ours" ? 3.5 : 1.6, dash: role === "control" ? "dot" : role === "ground_truth" ? "dash" : "solid" },
        text: rows.map((r, i) => (r ? `${show(r.value, metricOf(axes[i]).decimals)}` : "")), hovertemplate: "%{fullData.name}: %{text}<extra>%{x}</extra>",
      };
    });
    const ends = axes.flatMap((key, i) => {
      const values = metrics.get(key).map((r) => r.value);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const [worst, best] = metricOf(key).direction === "up" ? [low, high] : [high, low];
      return [[best, 1, "bottom", 4], [worst, 0, "top", -4]].map(([value, y, yanchor, yshift]) => ({ x: i, y, yanchor, yshift, text: show(value, metricOf(key).decimals), showarrow: false, font: { size: 11, color: style("--soft") } }));
    });
    return [traces, { height: 440, ...LEGEND, margin: { l: 24, r: 24, t: 8, b: 36 }, annotations: ends, xaxis: { showline: false, tickfont: { size: 13 } }, yaxis: { showticklabels: false, range: [-0.1, 1.1], zeroline: false, showgrid: false, showline: false } }, markOf(byId("c-cell").value)];
  });
}

function setUpCharts() {
  const cells = [...SCORES.keys()];
  fill(byId("c-cell"), cells.map((c) => [c, cellLabel(c)]), firstLabelled(cells));
  byId("c-cell").addEventListener("change", drawDots);
  byId("c-all").addEventListener("change", drawDots);
  drawDots();
}

/* ---- ablation ---- */

const KINDS = { main: "main effects", interaction: "interactions", given: "each module, the others fixed" };

function setUpAblation() {
  if (!byId("a-metric")) return;
  if (!DATA.effects.length) {
    byId("a-metric").closest(".controls").hidden = true;
    byId("effects").replaceWith(element("p", { textContent: "No effect can be worked out: no two runs that differ in one module have scores." }));
    return;
  }
  fill(byId("a-metric"), unique(DATA.effects.map((e) => `${e.corpus}\t${e.metric}`)).map((k) => [k, `${metricLabel(k.split("\t")[1])} on ${corpusLabel(k.split("\t")[0])}`]));
  fill(byId("a-kind"), unique(DATA.effects.map((e) => e.kind)).map((k) => [k, KINDS[k]]));
  fill(byId("a-by"), unique(DATA.effects.map((e) => e.by)).map((b) => [b, b === "all" ? "all clips" : b]));
  for (const id of ["a-metric", "a-kind", "a-by"]) byId(id).addEventListener("change", drawEffects);
  drawEffects();
}

const effectsOf = (corpus, metric) => DATA.effects.filter((e) => e.corpus === corpus && e.metric === metric && e.kind === byId("a-kind").value && e.by === byId("a-by").value);

function drawEffects() {
  const [corpus, metric] = byId("a-metric").value.split("\t");
  const rows = effectsOf(corpus, metric);
  effectsChart(byId("effects"), metric, rows, corpus);
  const beside = isJitter(metric) ? effectsOf(corpus, MOTION) : [];
  byId("effects-beside").hidden = !beside.length;
  if (beside.length) effectsChart(byId("effects-beside"), MOTION, beside, corpus);
  const items = rows.map((e) => element("li", { textContent: e.sentence }));
  if (!items.length) items.push(element("li", { textContent: "No such effect: either the metric is one of sets, or the grid of runs has no place for it." }));
  byId("sentences").replaceChildren(...items);
}

function effectsChart(node, metric, rows, corpus) {
  const colour = { better: "#009e73", worse: "#d55e00", changed: "#0b6fc0" };
  const sorted = [...rows].reverse();
  const decimals = metricOf(metric).decimals + 1;
  chart(node, () => [[{
    type: "scatter", mode: "markers", x: sorted.map((e) => e.value), y: sorted.map((e) => plain(e.by === "all" ? e.name : `${e.name}: ${e.level}`)),
    marker: { size: 10, color: sorted.map((e) => colour[e.verdict] || style("--soft")), symbol: sorted.map((e) => (colour[e.verdict] ? "circle" : "circle-open")) },
    error_x: whiskers(sorted),
    text: sorted.map((e) => `${withInterval(e, decimals)}: ${e.verdict}`), hovertemplate: "%{y}: %{text}<extra></extra>",
  }], {
    height: 90 + 26 * Math.max(sorted.length, 2), yaxis: { type: "category" },
    xaxis: { title: { text: `change of ${metricLabel(metric)}${arrow(metricOf(metric))}` }, rangemode: "tozero", nticks: 5, zeroline: true, zerolinecolor: style("--soft"), zerolinewidth: 1.5 },
  }, markOf(`${corpus}/`)]);
}

function setUpHistory() {
  if (!byId("h-quantity")) return;
  fill(byId("h-quantity"), Object.entries(DATA.quantities)); // quantities of validation come first
  const draw = () => {
    const quantity = byId("h-quantity").value;
    const runs = unique(DATA.history.map((h) => h.run));
    chart(byId("history"), () => [
      DATA.history.filter((h) => h.quantity === quantity).map((h) => ({
        type: "scatter", mode: h.split === "val" ? "lines+markers" : h.step.length < 2 ? "markers" : "lines", name: plain(`${methodLabel(h.run)}, ${h.split === "val" ? "validation" : "training"}`), x: h.step, y: h.value,
        line: { color: LINES[runs.indexOf(h.run) % LINES.length], dash: h.split === "val" ? "solid" : "dot", width: h.split === "val" ? 2 : 1.2 },
      })),
      { height: 380, ...LEGEND, xaxis: { title: { text: "step" } }, yaxis: { title: { text: plain(DATA.quantities[quantity]) }, type: byId("h-log").checked ? "log" : "linear" } },
      DATA.drawn.length ? DATA.mark : "",
    ]);
  };
  byId("h-quantity").addEventListener("change", draw);
  byId("h-log").addEventListener("change", draw);
  draw();
}

/* ---- breakdown and confusion: tables, so that screen readers can read them ---- */

function tint(node, part) {
  if (part !== null && Number.isFinite(part)) node.style.background = `rgba(${style("--tint")}, ${(0.04 + 0.5 * part).toFixed(3)})`;
}

function setUpBreakdown() {
  const rows = DATA.breakdown;
  if (!rows.length) return;
  const cells = unique(rows.map((r) => cellKey(r[1], r[2])));
  fill(byId("b-cell"), cells.map((c) => [c, cellLabel(c)]), firstLabelled(cells));
  const metrics = unique(rows.map((r) => r[3])).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  fill(byId("b-by"), unique(["emotion", "speaker", ...rows.map((r) => r[4])]).map((b) => [b, b]));
  fill(byId("b-metric"), metrics.map((m) => [m, metricLabel(m)]), metrics.includes("acc_emo") ? "acc_emo" : undefined);
  const draw = () => {
    const [cell, key, by] = [byId("b-cell").value, byId("b-metric").value, byId("b-by").value];
    breakdownTable(byId("breakdown"), rows, cell, key, by);
    const beside = isJitter(key) ? [element("table", { className: "heat" })] : [];
    for (const table of beside) breakdownTable(table, rows, cell, MOTION, by);
    byId("breakdown-beside").replaceChildren(...beside);
  };
  for (const id of ["b-cell", "b-metric", "b-by"]) byId(id).addEventListener("change", draw);
  draw();
}

function breakdownTable(table, rows, cell, key, by) {
  const chosen = rows.filter((r) => cellKey(r[1], r[2]) === cell && r[3] === key && r[4] === by);
  const levels = unique(chosen.map((r) => r[5])).sort((a, b) => DATA.emotions.indexOf(a) - DATA.emotions.indexOf(b) || parseFloat(a) - parseFloat(b) || a.localeCompare(b));
  const methods = METHOD_ORDER.filter((m) => chosen.some((r) => r[0] === m));
  const info = metricOf(key);
  if (!chosen.length) levels.push(by === "emotion" ? "no clip of this corpus carries a label, or the metric is one of sets" : "no values");
  const values = chosen.filter((r) => r[9] > 1).map((r) => r[6]); // the value of a single clip does not set the scale
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const head = element("tr", {}, element("th", { scope: "col", textContent: "Method" }), ...levels.map((l) => element("th", { scope: "col", textContent: l })));
  const body = methods.map((m) => element("tr", {}, element("th", { scope: "row", textContent: methodLabel(m) }), ...levels.map((l) => {
    const r = chosen.find((o) => o[0] === m && o[5] === l);
    if (!r) return element("td", { textContent: "–" });
    const ends = r[7] === null ? "" : `[${show(r[7], info.decimals)}, ${show(r[8], info.decimals)}]`;
    const td = element("td", {}, show(r[6], info.decimals), element("small", { textContent: ends }), element("small", { textContent: `n = ${r[9]}${r[10] ? "*" : ""}`, title: r[10] }));
    if (r[9] === 1) {
      td.classList.add("single");
      td.title = "one clip: no interval";
    }
    const part = high === low || r[9] === 1 ? null : (r[6] - low) / (high - low);
    tint(td, part === null ? null : info.direction === "down" ? 1 - part : part);
    return td;
  })));
  table.replaceChildren(element("caption", { textContent: `${metricLabel(key)}${arrow(info)} on ${cellLabel(cell)}, by ${by}` }), element("thead", {}, head), element("tbody", {}, ...body));
}

function setUpConfusion() {
  if (!byId("m-cell")) return;
  fill(byId("m-cell"), unique(DATA.confusion.map((c) => cellKey(c.corpus, c.protocol))).map((c) => [c, cellLabel(c)]));
  const listMethods = () => {
    const matrices = DATA.confusion.filter((c) => cellKey(c.corpus, c.protocol) === byId("m-cell").value);
    fill(byId("m-method"), inOrder(matrices).map((c) => [c.method, methodLabel(c.method)]), byId("m-method").value);
    draw();
  };
  const draw = () => {
    const matrix = DATA.confusion.find((c) => cellKey(c.corpus, c.protocol) === byId("m-cell").value && c.method === byId("m-method").value);
    const inOrderOf = (names) => [...names.keys()].sort((a, b) => DATA.emotions.indexOf(names[a]) - DATA.emotions.indexOf(names[b]));
    const columns = inOrderOf(matrix.classes);
    const head = element("tr", {}, element("th", { scope: "col", textContent: "asked for" }), ...columns.map((c) => element("th", { scope: "col", textContent: matrix.classes[c] })));
    const body = inOrderOf(matrix.asked).map((r) => {
      const total = matrix.counts[r].reduce((a, b) => a + b, 0);
      return element("tr", {}, element("th", { scope: "row", textContent: matrix.asked[r] }), ...columns.map((c) => {
        const n = matrix.counts[r][c];
        const td = element("td", { className: n ? "" : "zero" }, total ? `${Math.round((100 * n) / total)} %` : "–", element("small", { textContent: `(${n})` }));
        if (n) tint(td, n / total);
        if (matrix.classes[c] === matrix.asked[r]) td.classList.add("diagonal");
        return td;
      }));
    });
    byId("confusion").replaceChildren(element("caption", { textContent: `${methodLabel(matrix.method)} on ${cellLabel(cellKey(matrix.corpus, matrix.protocol))}` }), element("thead", {}, head), element("tbody", {}, ...body));
  };
  byId("m-cell").addEventListener("change", listMethods);
  byId("m-method").addEventListener("change", draw);
  listMethods();
}

/* ---- data ---- */

function setUpData() {
  const statusColour = { kept: "#0b6fc0", dropped: "#e69f00", failed: "#d55e00" };
  for (const node of document.querySelectorAll("[data-similarity]")) {
    const item = DATA.captions[Number(node.dataset.similarity)];
    const centres = item.edges.slice(1).map((e, i) => (e + item.edges[i]) / 2);
    chart(node, () => [ // captions of one corpus
      Object.entries(item.bars).map(([status, counts]) => ({ type: "bar", name: status, x: centres, y: counts, marker: { color: statusColour[status] }, hovertemplate: "%{x:.2f}: %{y}<extra>" + status + "</extra>" })),
      {
        barmode: "stack", bargap: 0.05, height: 260, ...LEGEND, xaxis: { title: { text: "cosine similarity" } }, yaxis: { title: { text: "clips" } },
        shapes: item.thresholds.map((t) => ({ type: "line", x0: t, x1: t, yref: "paper", y0: 0, y1: 1, line: { color: style("--ink"), dash: "dash", width: 1.5 } })),
      },
      markOf(`${item.corpus}/`),
    ]);
  }
  if (!byId("losses")) return;
  const places = unique(DATA.losses.map((l) => `${l.stage}\t${l.corpus}`)).reverse();
  const count = (place, status) => DATA.losses.filter((l) => `${l.stage}\t${l.corpus}` === place && l.status === status).reduce((sum, l) => sum + l.count, 0);
  chart(byId("losses"), () => [
    ["kept", "dropped", "failed"].map((status) => ({
      type: "bar", orientation: "h", name: status, y: places.map((p) => plain(`${p.split("\t")[0]}: ${corpusLabel(p.split("\t")[1])}`)), x: places.map((p) => count(p, status)), marker: { color: statusColour[status] },
    })),
    { barmode: "stack", height: 110 + 24 * places.length, ...LEGEND, legend: { ...LEGEND.legend, traceorder: "normal" }, xaxis: { title: { text: "rows" } }, yaxis: { showgrid: false } },
    DATA.drawn.length ? DATA.mark : "",
  ]);
}

/* ---- players ---- */

const player = { cell: null, clip: null, tiles: [], hidden: new Set(), audible: null, timer: 0, playing: false };
const MANY = 8; // of more methods only this many are shown at first

function setUpPlayer() {
  const cells = DATA.videos.cells;
  if (!cells.length) {
    byId("player").replaceChildren(element("p", { textContent: "No rendered video was found under the results." }));
    return;
  }
  const keys = cells.map((c) => cellKey(c.corpus, c.protocol));
  const withLabels = cells.findIndex((c) => c.clips.some((k) => k.emotion));
  fill(byId("p-cell"), keys.map((key, i) => [String(i), cellLabel(key)]), String(Math.max(0, withLabels)));
  const withVideo = METHOD_ORDER.filter((m) => cells.some((c) => c.clips.some((k) => k.methods[m])));
  const first = [...withVideo].sort((a, b) => importance(a) - importance(b)).slice(0, MANY);
  const showOnly = (shown) => {
    player.hidden = new Set(withVideo.filter((m) => !shown.includes(m)));
    for (const box of byId("p-methods").querySelectorAll("input")) box.checked = !player.hidden.has(box.value);
  };
  showOnly(first);
  byId("p-all").addEventListener("click", () => { showOnly(withVideo); showClip(); });
  byId("p-few").addEventListener("click", () => { showOnly(first); showClip(); });
  byId("p-methods").replaceChildren(...withVideo.map((m) => {
    const box = element("input", { type: "checkbox", checked: !player.hidden.has(m), value: m });
    box.addEventListener("change", () => {
      if (box.checked) player.hidden.delete(m);
      else player.hidden.add(m);
      showClip();
    });
    return element("label", { className: "check" }, box, ` ${methodLabel(m)}`);
  }));
  byId("p-cell").addEventListener("change", chooseCell);
  for (const id of ["p-emotion", "p-speaker", "p-order"]) byId(id).addEventListener("change", listClips);
  byId("p-clip").addEventListener("change", showClip);
  byId("p-prev").addEventListener("click", () => step(-1));
  byId("p-next").addEventListener("click", () => step(1));
  byId("p-play").addEventListener("click", () => (player.playing ? pauseAll() : playAll()));
  byId("p-back").addEventListener("click", () => seekAll(now() - FRAME));
  byId("p-forth").addEventListener("click", () => seekAll(now() + FRAME));
  byId("p-scrub").addEventListener("input", () => seekAll(Number(byId("p-scrub").value)));
  byId("p-rate").addEventListener("change", () => active().forEach((v) => (v.playbackRate = rate())));
  byId("p-zoom").addEventListener("change", () => byId("p-grid").classList.toggle("mouth", byId("p-zoom").checked));
  byId("p-grid").addEventListener("keydown", (event) => {
    if (event.target !== byId("p-grid")) return;
    const actions = { " ": () => byId("p-play").click(), ArrowLeft: () => byId("p-back").click(), ArrowRight: () => byId("p-forth").click() };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
  const start = new IntersectionObserver((entries) => {
    if (entries.some((e) => e.isIntersecting)) {
      start.disconnect();
      chooseCell(); // videos are loaded when the players come near the viewport
    }
  }, { rootMargin: "200px" });
  start.observe(byId("player"));
}

const importance = (m) => ({ ground_truth: 0, ours: 1, other: 2, control: 3, ablation: 4 })[DATA.methods[m].role] * 1000 + METHOD_ORDER.indexOf(m);
const rate = () => Number(byId("p-rate").value);
const perClip = () => DATA.perclip[cellKey(player.cell.corpus, player.cell.protocol)];

function chooseCell() {
  player.cell = DATA.videos.cells[Number(byId("p-cell").value)];
  const clips = player.cell.clips;
  const all = (name, values) => [["", `all ${name}`], ...unique(values.filter((v) => v !== null)).sort().map((v) => [v, v])];
  fill(byId("p-emotion"), all("emotions", clips.map((c) => c.emotion)), byId("p-emotion").value);
  fill(byId("p-speaker"), all("speakers", clips.map((c) => c.speaker)), byId("p-speaker").value);
  const metrics = perClip() ? Object.keys(perClip().values).sort((a, b) => rank(a) - rank(b)) : [];
  fill(byId("p-order"), [["", "by name"], ...metrics.map((m) => [m, `largest disagreement in ${metricLabel(m)}`])], byId("p-order").value);
  listClips();
}

/* Spread of a metric between the shown methods on one clip. */
function disagreement(clip, metric) {
  const table = perClip();
  const index = table.clips.indexOf(clip.id);
  const shown = Object.entries(table.values[metric]).filter(([m]) => !player.hidden.has(m));
  const values = shown.map(([, v]) => v[index]).filter((v) => v !== null && v !== undefined);
  return values.length ? Math.max(...values) - Math.min(...values) : -1;
}

function listClips() {
  const [emotion, speaker, order] = [byId("p-emotion").value, byId("p-speaker").value, byId("p-order").value];
  let clips = player.cell.clips.filter((c) => (!emotion || c.emotion === emotion) && (!speaker || c.speaker === speaker));
  const spread = new Map(order ? clips.map((c) => [c.id, disagreement(c, order)]) : []);
  if (order) clips = [...clips].sort((a, b) => spread.get(b.id) - spread.get(a.id));
  const note = (c) => [c.emotion, order && spread.get(c.id) >= 0 ? `spread ${show(spread.get(c.id), metricOf(order).decimals)}` : null].filter(Boolean).join(", ");
  const before = byId("p-clip").value;
  fill(byId("p-clip"), clips.map((c) => [c.id, c.id + (note(c) ? ` (${note(c)})` : "")]), order ? undefined : before);
  showClip();
}

function step(by) {
  const select = byId("p-clip");
  const count = select.options.length;
  if (!count) return;
  select.selectedIndex = (select.selectedIndex + by + count) % count;
  showClip();
}

function showClip() {
  pauseAll();
  for (const tile of player.tiles) if (tile.video) { tile.video.removeAttribute("src"); tile.video.load(); } // frees the decoder
  player.clip = player.cell.clips.find((c) => c.id === byId("p-clip").value) || null;
  const clip = player.clip;
  byId("p-info").textContent = clip ? [`Clip ${clip.id}`, clip.emotion && `emotion ${clip.emotion}`, clip.speaker && `speaker ${clip.speaker}`, markOf(cellKey(player.cell.corpus, player.cell.protocol))].filter(Boolean).join(", ") : "No clip matches.";
  const withVideo = METHOD_ORDER.filter((m) => player.cell.clips.some((c) => c.methods[m]));
  const methods = withVideo.filter((m) => !player.hidden.has(m)).sort((a, b) => importance(a) - importance(b));
  byId("p-shown").textContent = `${methods.length} of ${withVideo.length}`;
  if (!methods.includes(player.audible)) player.audible = methods.find((m) => clip && clip.methods[m]) || null;
  player.tiles = clip ? methods.map((m) => makeTile(m, clip)) : [];
  byId("p-grid").replaceChildren(...player.tiles.map((t) => t.node));
  unmute(player.audible);
  updateTime();
}

function makeTile(method, clip) {
  const frame = element("div", { className: "frame" });
  let video = null;
  if (clip.methods[method]) {
    video = element("video", { src: `report_assets/${clip.methods[method]}`, muted: true, playsInline: true, preload: "auto", disableRemotePlayback: true });
    video.setAttribute("aria-label", `${methodLabel(method)}, clip ${clip.id}` + (clip.emotion ? `, ${clip.emotion}` : ""));
    video.playbackRate = rate();
    video.addEventListener("loadedmetadata", updateTime);
    video.addEventListener("error", () => frame.replaceChildren(element("p", { className: "gone", textContent: "cannot be played here" })));
    frame.append(video);
  } else {
    frame.append(element("p", { className: "gone", textContent: "this method has no video of this clip" }));
  }
  const radio = element("input", { type: "radio", name: "p-audio", value: method, disabled: !video });
  radio.addEventListener("change", () => unmute(method));
  const facts = element("dl", { className: "facts" });
  const table = perClip();
  const index = table ? table.clips.indexOf(clip.id) : -1;
  for (const metric of DATA.shown) {
    const value = index >= 0 && table.values[metric] && table.values[metric][method] ? table.values[metric][method][index] : null;
    if (value !== null && value !== undefined) facts.append(element("dt", { textContent: metricLabel(metric) }), element("dd", { textContent: show(value, metricOf(metric).decimals) }));
  }
  const name = element("div", { className: "row" }, element("span", { className: "name", textContent: methodLabel(method) }), element("label", {}, radio, " audio", element("span", { className: "visually-hidden", textContent: ` of ${methodLabel(method)}` })));
  const node = element("figure", { className: "tile" }, frame, element("figcaption", {}, name, facts));
  return { method, node, video, radio };
}

/* Play the audio of one method alone. */
function unmute(method) {
  player.audible = method;
  for (const tile of player.tiles) {
    const audible = tile.method === method;
    if (tile.video) tile.video.muted = !audible;
    tile.radio.checked = audible;
    tile.node.classList.toggle("audible", audible);
  }
}

const active = () => player.tiles.map((t) => t.video).filter((v) => v && v.readyState > 0 && !v.error);
const leader = () => (player.tiles.find((t) => t.method === player.audible && t.video && t.video.readyState > 0) || {}).video || active()[0];
const now = () => (leader() ? leader().currentTime : 0);
const length = () => Math.min(...active().map((v) => v.duration).filter(Number.isFinite));

function updateTime() {
  const end = active().length ? length() : 0;
  byId("p-scrub").max = String(end || 1);
  byId("p-scrub").value = String(now());
  byId("p-scrub").setAttribute("aria-valuetext", `${now().toFixed(2)} of ${end.toFixed(2)} seconds`);
  byId("p-time").textContent = `${now().toFixed(2)} / ${end.toFixed(2)} s`;
}

function seekAll(time) {
  const to = Math.max(0, Math.min(time, length() - FRAME / 2));
  for (const video of active()) video.currentTime = to;
  updateTime();
}

const ready = (video) => (video.readyState >= 3 || video.error ? Promise.resolve() : new Promise((done) => {
  for (const event of ["canplay", "error"]) video.addEventListener(event, done, { once: true });
}));
const sought = (video) => (video.seeking ? new Promise((done) => video.addEventListener("seeked", done, { once: true })) : Promise.resolve());

async function playAll() {
  const tiles = player.tiles;
  player.playing = true;
  byId("p-play").textContent = "Pause";
  byId("p-play").setAttribute("aria-pressed", "true");
  await Promise.all(tiles.filter((t) => t.video).map((t) => ready(t.video)));
  if (!player.playing || tiles !== player.tiles) return;
  seekAll(now() >= length() - 1.5 * FRAME ? 0 : now());
  await Promise.all(active().map(sought));
  if (!player.playing || tiles !== player.tiles) return;
  for (const video of active()) video.playbackRate = rate();
  await Promise.allSettled(active().map((v) => v.play()));
  keepTogether();
}

/* Followers run a little faster or slower until they are on the leader's frame; more than three frames off, they seek. At the end all start again, or stop, together. */
function keepTogether() {
  cancelAnimationFrame(player.timer);
  if (!player.playing) return;
  const lead = leader();
  if (lead && (lead.ended || lead.currentTime >= length() - FRAME / 2)) {
    if (!byId("p-loop").checked) { pauseAll(); return; }
    for (const video of active()) video.pause();
    seekAll(0);
    Promise.all(active().map(sought)).then(() => player.playing && playAll());
    return;
  }
  for (const video of active()) {
    if (video === lead) continue;
    const late = lead.currentTime - video.currentTime;
    if (Math.abs(late) > 3 * FRAME && !video.seeking) video.currentTime = lead.currentTime;
    video.playbackRate = rate() * (1 + Math.max(-0.2, Math.min(0.2, Math.abs(late) < FRAME / 4 ? 0 : 2 * late)));
    if (video.paused && !video.ended) video.play().catch(() => {});
  }
  updateTime();
  player.timer = requestAnimationFrame(keepTogether);
}

function pauseAll() {
  player.playing = false;
  cancelAnimationFrame(player.timer);
  byId("p-play").textContent = "Play all";
  byId("p-play").setAttribute("aria-pressed", "false");
  const videos = active();
  for (const video of videos) video.pause();
  if (videos.length) seekAll(Math.round(now() / FRAME) * FRAME + FRAME / 4); // all on the same frame
}

/* ---- citing ---- */

byId("cite-copy").addEventListener("click", () => {
  const text = byId("cite-text");
  const selectText = () => { // where pages from disk may not use the clipboard
    getSelection().selectAllChildren(text);
    byId("cite-done").textContent = "selected: copy with Ctrl+C";
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text.textContent).then(() => (byId("cite-done").textContent = "copied"), selectText);
  else selectText();
});

/* ---- navigation: marks the section in view ---- */

function setUpNavigation() {
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [byId(a.hash.slice(1)), a]));
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) links.get(entry.target).setAttribute("aria-current", "true");
      else links.get(entry.target).removeAttribute("aria-current");
    }
  }, { rootMargin: "-25% 0px -70% 0px" });
  for (const section of links.keys()) observer.observe(section);
}

setUpNavigation();
setUpPlayer();
setUpCharts();
setUpAblation();
setUpHistory();
setUpBreakdown();
setUpConfusion();
setUpData();
