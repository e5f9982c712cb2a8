"use strict";
// All numbers come from the embedded draws; nothing is fetched and nothing is sent.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);

  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float64Array(bytes.buffer);
  }
  const coefficients = unpack(data.coefficients);
  // What varies by site: a coefficient (0: the intercept), each site's effect on it by draw, and that of a new site.
  const varying = data.site.varying.map((v) => ({ column: v.column, effects: unpack(v.effects), fresh: unpack(v.new) }));
  const width = data.columns.length + 1;
  const byName = new Map(data.variables.map((v) => [v.name, v]));

  // --- numbers -------------------------------------------------------------------------------------------------------
  // A person has raw values by source column, as in the table; a design column is a product of its factors.
  function onModelScale(person, variable) {
    const value = person[variable.source];
    if (variable.kind === "categorical") return value;
    return variable.kind === "standardised" ? (Number(value) - variable.mean) / variable.sd : Number(value);
  }
  const inner = { "": (x) => x, log: Math.log, log1p: Math.log1p, sqrt: Math.sqrt, square: (x) => x * x };
  // A curve: a transform of the value, or a natural cubic spline of it by its truncated cubes.
  function curved(value, curve) {
    const x = inner[curve.inner](value);
    if (!curve.knots) return x;
    const u = (x - curve.mean) / curve.sd, c = curve.coefficients;
    return curve.knots.reduce((sum, knot, k) => sum + c[2 + k] * Math.max(u - knot, 0) ** 3, c[0] + c[1] * u);
  }
  function designRow(person) {
    return data.columns.map((factors) => factors.reduce((product, factor) => {
      const value = onModelScale(person, byName.get(factor.variable));
      if (factor.level !== null) return product * (value === factor.level ? 1 : 0);
      return product * (factor.curve ? curved(value, factor.curve) : value);
    }, 1));
  }
  function siteOffset(site, name, draw, row) {
    if (site !== "new" && site !== "known") return 0;
    const place = draw * data.site.names.length + data.site.names.indexOf(name);
    return varying.reduce((sum, v) =>
      sum + (v.column === 0 ? 1 : row[v.column - 1]) * (site === "new" ? v.fresh[draw] : v.effects[place]), 0);
  }
  function probabilities(person, site, name) {
    const row = designRow(person);
    const out = new Float64Array(data.draws);
    for (let s = 0; s < data.draws; s++) {
      let eta = coefficients[s * width] + siteOffset(site, name, s, row);
      for (let j = 0; j < row.length; j++) eta += row[j] * coefficients[s * width + 1 + j];
      out[s] = 1 / (1 + Math.exp(-eta));
    }
    return out;
  }
  function quantile(sorted, p) {
    const at = p * (sorted.length - 1), below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
  }
  function summary(values) {
    const sorted = Float64Array.from(values).sort(), tail = (1 - data.interval) / 2;
    return { median: quantile(sorted, 0.5), lower: quantile(sorted, tail), upper: quantile(sorted, 1 - tail), sorted };
  }
  function contributions(person) {
    const row = designRow(person);
    return data.sets.map((set, k) => {
      const values = new Float64Array(data.draws);
      for (let s = 0; s < data.draws; s++) {
        for (const j of set.columns) values[s] += (row[j] - data.centre[j]) * coefficients[s * width + 1 + j];
      }
      const logOdds = set.columns.reduce((sum, j) => sum + row[j] * data.points.beta[j], 0);
      return { label: set.label + (set.adjustment ? " \u2020" : ""), points: (logOdds - data.points.minima[k]) * data.points.per_log_odds, ...summary(values) };
    });
  }
  function ageBand(age) { return age < 40 ? "<40" : age < 50 ? "40-49" : age < 60 ? "50-59" : "60+"; }
  function outside(person) {
    const groups = data.support.filter((g) =>
      (g.sex === "all" || person.sex === undefined || g.sex === person.sex) &&
      (g.age_band === "all" || person.age_years === undefined || g.age_band === ageBand(Number(person.age_years))));
    return data.variables.filter((v) => v.role === "exposure" && groups.some((g) => g.limits[v.name]) &&
      !groups.some((g) => {
        const limits = g.limits[v.name], z = onModelScale(person, v);
        return limits && z >= limits[0] && z <= limits[1];
      })).map((v) => v.label);
  }
  // What tests and curious readers call.
  window.nomogram = { data, designRow, probabilities, summary, contributions, outside };

  // --- page ----------------------------------------------------------------------------------------------------------
  const $ = (id) => document.getElementById(id);
  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) node.setAttribute(key, "");
      else if (value !== false && value !== null) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }
  function drawn(tag, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  const minus = (text) => text.replace("-", "\u2212");
  const percent = (p) => (100 * p).toFixed(0) + " %";
  const signed = (x) => Math.abs(x) < 0.005 ? "0.00" : (x > 0 ? "+" : "") + minus(x.toFixed(2));

  function choices(legend, name, options, start) {
    const set = element("fieldset", {}, element("legend", {}, legend));
    options.forEach(([value, text]) => {
      const input = element("input", { type: "radio", name, value, checked: String(value) === String(start) });
      set.append(element("label", { class: "choice" }, input, text));
    });
    return set;
  }
  function slider(variable) {
    const words = variable.label + (variable.unit ? " (" + variable.unit + ")" : "");
    const shared = { min: variable.low, max: variable.high, step: variable.step, value: variable.start };
    const id = "control-" + variable.source;
    const range = element("input", { type: "range", id, name: variable.source, ...shared });
    const number = element("input", { type: "number", "aria-label": words + ", as a number", ...shared });
    range.addEventListener("input", () => { number.value = range.value; });
    number.addEventListener("input", () => {
      if (number.value !== "" && number.checkValidity()) { range.value = number.value; update(); }
    });
    return element("div", { class: "control" }, element("label", { for: id }, words), element("div", { class: "pair" }, range, number));
  }
  function build() {
    $("title").textContent = data.outcome + ": interactive nomogram";
    document.title = data.outcome + ": nomogram";
    $("simulated").hidden = !data.simulated;
    $("note").textContent = data.note;
    const events = data.events === null ? "" : " (" + data.events.toLocaleString("en") + " with the outcome)";
    $("sample").textContent = "n = " + data.n.toLocaleString("en") + events + ". " + data.title + ".";
    const form = $("controls");
    for (const variable of data.variables) {
      if (variable.kind === "categorical") form.append(choices(variable.label, variable.source, variable.levels.map((l) => [l, l]), variable.start));
      else if (variable.kind === "binary") form.append(choices(variable.label, variable.source, [[0, "no"], [1, "yes"]], variable.start));
      else form.append(slider(variable));
    }
    if (data.site.names.length) {
      const start = data.site.default === "known" || data.site.default === "marginal" ? "typical" : data.site.default;
      const site = choices("Site", "site", [["typical", "typical"], ["new", "a new site"], ["known", "known:"]], start);
      const names = element("select", { "aria-label": "Known site", id: "site-name" }, ...data.site.names.map((n) => element("option", { value: n }, n)));
      names.addEventListener("change", () => { site.querySelector("input[value=known]").checked = true; update(); });
      site.append(names, element("p", { class: "fine", id: "site-meaning" }));
      form.append(site);
    }
    $("adjustment").hidden = !data.sets.some((set) => set.adjustment);
    form.addEventListener("input", update);
    window.addEventListener("resize", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    const engine = { nuts: "NUTS", laplace: "Laplace with importance sampling", ml: "draws around the maximum of the likelihood" }[data.method];
    $("method").textContent = data.draws.toLocaleString("en") + " posterior draws (" + engine + ") of the model \u201c" + data.model +
      "\u201d are embedded in this page; it works without a network and sends nothing.";
  }
  function person() {
    const form = new FormData($("controls")), out = {};
    for (const variable of data.variables) out[variable.source] = form.get(variable.source);
    return [out, form.get("site") || "typical", $("site-name") ? $("site-name").value : ""];
  }
  function drawDistribution(s) {
    const svg = $("distribution");
    svg.replaceChildren();
    const across = Math.max(260, svg.clientWidth || 640), n = s.sorted.length, left = 14, right = across - 14, base = 148;
    svg.setAttribute("viewBox", "0 0 " + across + " 190");
    const low = Math.max(0, Math.floor(10 * (s.sorted[0] - 0.02)) / 10), high = Math.min(1, Math.max(low + 0.2, Math.ceil(10 * (s.sorted[n - 1] + 0.02)) / 10));
    const x = (p) => left + (right - left) * (p - low) / (high - low);
    const bins = new Array(60).fill(0);
    for (const p of s.sorted) bins[Math.min(59, Math.max(0, Math.floor(60 * (p - low) / (high - low))))]++;
    const tallest = Math.max(...bins), step = (right - left) / 60;
    bins.forEach((count, k) => {
      const height = 118 * count / tallest, middle = low + (k + 0.5) * (high - low) / 60;
      const within = middle >= s.lower && middle <= s.upper;
      svg.append(drawn("rect", { x: left + k * step, y: base - height, width: step - 0.6, height, fill: within ? "#0072b2" : "#a9c9e0" }));
    });
    svg.append(drawn("line", { x1: left, x2: right, y1: base, y2: base, stroke: "#1a1a1a" }));
    const gap = high - low > 0.5 ? 0.1 : 0.05;
    for (let k = Math.ceil(low / gap - 1e-9); k * gap <= high + 1e-9; k++) {
      svg.append(drawn("line", { x1: x(k * gap), x2: x(k * gap), y1: base, y2: base + 5, stroke: "#1a1a1a" }));
      svg.append(drawn("text", { x: x(k * gap), y: base + 20, "text-anchor": "middle" }, (100 * k * gap).toFixed(0)));
    }
    svg.append(drawn("text", { x: (left + right) / 2, y: base + 39, "text-anchor": "middle" }, "Probability (%)"));
    svg.append(drawn("line", { x1: x(s.median), x2: x(s.median), y1: 14, y2: base, stroke: "#1a1a1a", "stroke-width": 2 }));
  }
  function drawContributions(who) {
    const rows = contributions(who), body = document.querySelector("#contributions tbody");
    const reach = Math.max(0.5, ...rows.map((r) => Math.max(Math.abs(r.lower), Math.abs(r.upper))));
    const x = (v) => 100 + 96 * v / reach;
    body.replaceChildren(...rows.map((r) => {
      const svg = drawn("svg", { viewBox: "0 0 200 22", height: 22, "aria-hidden": "true" });
      svg.append(drawn("line", { x1: 100, x2: 100, y1: 0, y2: 22, stroke: "#767676" }));
      svg.append(drawn("line", { x1: x(r.lower), x2: x(r.upper), y1: 11, y2: 11, stroke: "#0072b2", "stroke-width": 3 }));
      svg.append(drawn("circle", { cx: x(r.median), cy: 11, r: 5, fill: "#0072b2" }));
      const bar = element("td", { class: "bar" });
      bar.append(svg);
      const words = signed(r.median) + " (" + signed(r.lower) + " to " + signed(r.upper) + ")";
      return element("tr", {}, element("th", { scope: "row" }, r.label), bar,
        element("td", { class: "number" }, words), element("td", { class: "number" }, minus(r.points.toFixed(0))));
    }));
  }
  let waiting = 0;
  function update() {
    const [who, site, name] = person();
    const s = summary(probabilities(who, site, name));
    drawDistribution(s);
    drawContributions(who);
    const interval = (100 * data.interval).toFixed(0) + " % interval";
    $("distribution-words").textContent = "Median " + percent(s.median) + " (line); dark: the " + interval + ", " +
      percent(s.lower) + " to " + percent(s.upper) + ".";
    if ($("site-meaning")) $("site-meaning").textContent = data.site.meaning[site];
    // Screen readers announce the answer once the person has stopped moving a slider.
    const small = element("small", {}, " (" + interval + " " + percent(s.lower) + " to " + percent(s.upper) + ")");
    const far = outside(who);
    clearTimeout(waiting);
    const say = () => {
      $("probability").replaceChildren(percent(s.median), small);
      $("sentence").textContent = "Of 1,000 people with these values, about " + (1000 * s.median).toFixed(0) + " have the outcome: " + data.outcome.toLowerCase() + ".";
      $("outside").hidden = far.length === 0;
      $("outside").textContent = far.length ? "Extrapolation: " + far.join(" and ") + " beyond the 1st to 99th percentile of people of this sex and age in the data." : "";
    };
    if ($("probability").textContent === "") say(); else waiting = setTimeout(say, 60);
  }
  build();
  update();
})();
