"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const sections = [...document.querySelectorAll("section.target")];
  const hidden = new Map(sections.map((section) => [section, new Set()]));
  const SYMBOLS = {
    vi: ["circle", "diamond", "hexagon2", "star", "pentagon", "hourglass"],
    mcmc: ["square", "triangle-up", "triangle-down", "x", "cross", "bowtie"],
    oracle: ["circle-open", "diamond-open", "square-open"],
    other: ["asterisk", "hash"],
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const wide = () => window.innerWidth > 800;

  // What a method looks like: one colour and one symbol all over the report, warm starts dashed, oracles dotted.
  const look = (name) => {
    const { kind, index, warm } = data.methods[name];
    const colours = { vi: 8, mcmc: 8, oracle: 4, other: 4 }[kind];
    const dash = warm ? "dash" : kind === "oracle" ? "dot" : "solid";
    return { colour: css(`--${kind}-${index % colours}`), symbol: SYMBOLS[kind][index % SYMBOLS[kind].length], dash };
  };
  const translucent = (hex, alpha) => {
    const part = (i) => parseInt(hex.slice(i, i + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  };

  // ---- state -------------------------------------------------------------------------------------------------
  const metric = () => data.metrics[byId("metric").value];
  const ledger = (axis) => {
    const key = (byId("compile").checked && axis === "seconds" ? "c" : "") + (byId("warmup").checked ? "w" : "");
    return key || "run";
  };

  // ---- curves ------------------------------------------------------------------------------------------------
  const UNITS = {
    seconds: { title: "seconds", suffix: "s" },
    evaluations: { title: "gradient evaluations (a density without gradient counts as one)", suffix: "" },
  };

  function points(method, axis) {
    const cost = method.cost[axis] && method.cost[axis][ledger(axis)];
    const values = method.metrics[metric().name];
    if (!cost || !values) return null;
    const kept = cost.map((c, i) => i).filter((i) => cost[i] !== null && cost[i] > 0 && values.mid[i] !== null);
    const pick = (list) => kept.map((i) => list[i]);
    return kept.length ? { kept, x: pick(cost), mid: pick(values.mid), low: pick(values.low), high: pick(values.high), values } : null;
  }

  function curveTraces(section, target, axis) {
    const shown = target.methods
      .filter((method) => !hidden.get(section).has(method.name))
      .map((method) => ({ method, drawn: points(method, axis), style: look(method.name) }))
      .filter((each) => each.drawn);
    const end = Math.max(...shown.map((each) => each.drawn.x.at(-1)));
    const traces = [];
    const add = (trace) => traces.push({ mode: "lines", hoverinfo: "skip", showlegend: false, ...trace });
    for (const { method, drawn, style } of shown) {
      const group = method.name;
      const base = { legendgroup: group, x: drawn.x };
      if (byId("bands").checked && method.runs > 1) {
        const top = drawn.high.map((v, i) => v ?? drawn.mid[i]);
        const bottom = drawn.low.map((v, i) => v ?? drawn.mid[i]);
        add({ ...base, x: [...drawn.x, ...[...drawn.x].reverse()], y: [...top, ...bottom.reverse()], fill: "toself",
              fillcolor: translucent(style.colour, 0.14), line: { width: 0 } });
      }
      if (byId("floors").checked && drawn.values.sampling && method.kind === "mcmc")
        add({ ...base, y: drawn.kept.map((i) => drawn.values.sampling[i]), line: { width: 1, dash: "dot", color: translucent(style.colour, 0.75) },
              name: `${group}: sampling floor`, hovertemplate: `sampling floor of ${escape(group)}: %{y:.3g}<extra></extra>`, hoverinfo: undefined });
    }
    for (const { method, drawn, style } of shown) {
      const base = { legendgroup: method.name };
      const failed = method.failed ? ` (${method.failed} of ${method.runs} runs cannot win)` : "";
      add({ ...base, x: drawn.x, y: drawn.mid, mode: "lines+markers", name: escape(method.name) + failed, showlegend: true,
            opacity: method.failed * 2 > method.runs ? 0.5 : 1, hoverinfo: undefined,
            customdata: drawn.x.map((_, i) => [number(drawn.low[i]), number(drawn.high[i])]),
            hovertemplate: "%{y:.3g} [%{customdata[0]}, %{customdata[1]}] at %{x:.3s}" + UNITS[axis].suffix + "<extra>" + escape(method.name) + "</extra>",
            line: { color: style.colour, width: 2, dash: style.dash }, marker: { symbol: style.symbol, size: 6, color: style.colour } });
      if (method.kind === "vi" && metric().ranks && drawn.x.at(-1) < end)
        add({ ...base, x: [drawn.x.at(-1), end], y: [drawn.mid.at(-1), drawn.mid.at(-1)], name: "floor", hoverinfo: undefined,
              hovertemplate: `floor of ${escape(method.name)}: %{y:.3g}<extra></extra>`, line: { color: style.colour, width: 1.5, dash: "8px,3px,2px,3px" } });
      const slope = drawn.values.slope;
      if (slope && byId("slopes").checked) {
        const inside = drawn.kept.map((i, j) => [drawn.x[j], slope.line[i]]).filter((pair) => pair[1] !== null);
        add({ ...base, x: inside.map((p) => p[0]), y: inside.map((p) => p[1]), line: { color: translucent(style.colour, 0.35), width: 6 } });
      }
    }
    for (const found of crossovers(target, axis)) {
      const vi = shown.find((each) => each.method.name === found.vi);
      if (found.at === null || !vi || hidden.get(section).has(found.mcmc)) continue;
      const before = vi.drawn.x.filter((cost) => cost <= found.at).length;
      const y = vi.drawn.mid[Math.max(before - 1, 0)];
      const style = look(found.mcmc);
      traces.push({ x: [found.at], y: [y], mode: "markers", showlegend: false, hovertemplate: escape(found.text) + "<extra></extra>",
        marker: { symbol: "star-diamond", size: 14, color: style.colour, line: { color: css("--text"), width: 1.5 } },
        error_x: { type: "data", symmetric: false, color: css("--text"), thickness: 1.5, width: 5,
                   array: [(found.high ?? end) - found.at], arrayminus: [found.at - (found.low ?? found.at)] } });
    }
    return { traces, shown, end };
  }

  const crossovers = (target, axis) => ((target.crossovers[metric().name] || {})[axis] || {})[ledger(axis)] || [];

  function referenceFloor(target) {
    const floors = target.methods.flatMap((m) => (m.metrics[metric().name] || {}).reference || []).filter((v) => v !== null);
    return floors.length ? Math.max(...floors) : null;
  }

  function line(y, text, colour) {
    return {
      shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour, width: 1.2, dash: "dash" } },
      note: { xref: "paper", x: 0, y: metric().log ? Math.log10(y) : y, text, showarrow: false, xanchor: "left", yanchor: "bottom", font: { size: 11, color: colour } },
    };
  }

  function layout(extra) {
    const grid = { gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true };
    const merge = (axis) => ({ ...grid, ...axis, title: { text: "", standoff: 6, font: { size: 12 }, ...(axis || {}).title } });
    return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: css("--text") },
             margin: { l: 58, r: 12, t: 30, b: 46 }, showlegend: false, hovermode: "closest", hoverlabel: { namelength: -1 }, dragmode: wide() ? "zoom" : "pan",
             modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--quiet"), activecolor: css("--accent") },
             ...extra, xaxis: merge(extra.xaxis), yaxis: merge(extra.yaxis) };
  }

  const CONFIG = { responsive: true, displaylogo: false, scrollZoom: false, plotlyServerURL: "", modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
  const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const number = (value) => (value === null ? "∞" : Number(value.toPrecision(3)).toString());

  function drawCurves(section, target, axis, place) {
    const { traces, shown, end } = curveTraces(section, target, axis);
    const chosen = metric();
    const shapes = [];
    const annotations = [];
    const put = ({ shape, note }) => { shapes.push(shape); annotations.push(note); };
    const floor = byId("floors").checked && chosen.ranks ? referenceFloor(target) : null;
    if (floor !== null) put(line(floor, "reference floor", css("--quiet")));
    if (!chosen.ranks && target.log_normaliser !== null) put(line(target.log_normaliser, "true log normaliser", css("--quiet")));
    if (!shown.length) annotations.push({ xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false, text: "This error is not defined for any method shown.", font: { size: 13, color: css("--quiet") } });
    const label = chosen.perfect ? (chosen.log ? `|log| of ${chosen.label}` : `distance of ${chosen.label} from ${chosen.perfect}`) : chosen.label;
    const start = Math.min(...shown.map((each) => each.drawn.x[0]));
    const xaxis = { type: "log", exponentformat: "SI", ticksuffix: UNITS[axis].suffix, title: { text: wide() ? UNITS[axis].title : UNITS[axis].title.split(" (")[0] }, nticks: wide() ? 8 : 5 };
    if (shown.length) xaxis.range = [Math.log10(start) - 0.08, Math.log10(Math.max(end, start * 1.1)) + 0.08];
    const logged = chosen.log || (chosen.perfect !== null && chosen.perfect !== 0);
    const yaxis = { type: logged ? "log" : "linear", exponentformat: "power", title: { text: label } };
    if (logged && shown.length) {
      const values = shown.flatMap((each) => [...each.drawn.mid, ...each.drawn.low]).filter((v) => v > 0);
      const top = shown.flatMap((each) => [...each.drawn.mid, ...each.drawn.high]).filter((v) => v > 0);
      const sampled = shown.filter((each) => each.method.kind === "mcmc").flatMap((each) => each.drawn.mid).filter((v) => v > 0);
      const least = sampled.length ? Math.min(...sampled) * 1e-3 : Math.max(...top) * 1e-9; // what is exact leaves below
      const span = [Math.max(Math.min(...values), least), Math.max(...top)].map(Math.log10);
      yaxis.range = [span[0] - 0.2, span[1] + 0.2];
      if (span[1] - span[0] > 1.2) yaxis.dtick = Math.ceil((span[1] - span[0]) / 8);
    }
    Plotly.react(place, traces, layout({ xaxis, yaxis, shapes, annotations, uirevision: chosen.name + axis + ledger(axis) }), CONFIG);
  }

  // ---- the asymmetry of the divergences ----------------------------------------------------------------------
  function drawAsymmetry(target, plots) {
    const panel = target.asymmetry;
    const figures = [];
    const show = (name, traces, extra) => {
      const any = traces.some((trace) => trace.y.some((v) => v !== null));
      plots[name].closest("figure").classList.toggle("hidden", !any);
      if (any) figures.push([plots[name], traces, layout({ showlegend: true, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } }, margin: { l: 58, r: 12, t: 10, b: 30 }, ...extra })]);
    };
    if (!panel) { plots.divergences.closest("details").classList.add("hidden"); return; }
    const names = panel.methods.map((m) => escape(m.name));
    const noise = (key) => panel.methods.map((m) => m[key + "_noise"] || 0);
    const bar = (key, name, colour, pattern) => ({ type: "bar", x: names, y: panel.methods.map((m) => (m[key] === null ? null : Math.max(m[key], 1e-9))), name,
      error_y: { type: "data", symmetric: true, array: noise(key), thickness: 1.2, width: 3, color: css("--text") },
      marker: { color: css(colour), pattern: { shape: pattern, fillmode: "overlay", fgcolor: css("--ground"), size: 7, solidity: 0.35 } },
      customdata: noise(key), hovertemplate: "%{y:.3g} nats, noise %{customdata:.2g}<extra>%{x}, " + name + "</extra>" });
    const divergences = [bar("kl_reverse", "KL(q || p)", "--vi-0", ""), bar("kl_forward", "KL(p || q)", "--mcmc-0", "/")];
    const values = divergences.flatMap((trace) => trace.y).filter((v) => v !== null);
    const low = Math.floor(Math.log10(Math.min(...values))) - 0.3;
    show("divergences", divergences, { barmode: "group", yaxis: { type: "log", exponentformat: "power", title: { text: "nats" }, range: [low, Math.max(Math.log10(Math.max(...values)) + 0.3, low + 1.5)] } });
    const unit = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: css("--quiet"), width: 1.2, dash: "dash" } };
    const coordinates = panel.coordinates || [];
    const ratio = panel.methods.filter((m) => m.sd_ratio).map((m) => ({ x: m.sd_ratio.map((_, i) => coordinates[i] || String(i)), y: m.sd_ratio, mode: "markers", name: escape(m.name),
      marker: { ...(({ colour, symbol }) => ({ color: colour, symbol }))(look(m.name)), size: coordinates.length > 40 ? 5 : 8 }, hovertemplate: "%{x}: %{y:.3g}<extra>" + escape(m.name) + "</extra>" }));
    show("ratios", ratio, { shapes: [unit], xaxis: { type: "category", nticks: 12 }, yaxis: { type: "log", title: { text: "sd ratio" }, tickformat: ".3~g" } });
    const masses = panel.methods.filter((m) => m.mode_masses).map((m) => ({ type: "bar", x: m.mode_masses.map((_, i) => `mode ${i + 1}`), y: m.mode_masses, name: escape(m.name),
      marker: { color: look(m.name).colour }, hovertemplate: "%{x}: %{y:.3g}<extra>" + escape(m.name) + "</extra>" }));
    if (panel.true_mode_masses && masses.length)
      masses.unshift({ type: "bar", x: panel.true_mode_masses.map((_, i) => `mode ${i + 1}`), y: panel.true_mode_masses, name: "truth", marker: { color: css("--text") }, hovertemplate: "%{x}: %{y:.3g}<extra>truth</extra>" });
    show("modes", masses, { barmode: "group", yaxis: { range: [0, 1], title: { text: "mass" } } });
    for (const [place, traces, arranged] of figures) Plotly.react(place, traces, arranged, { ...CONFIG, displayModeBar: false }); // once all know their width
  }

  // ---- legend and findings in words --------------------------------------------------------------------------
  const DASHES = { solid: "", dash: "5 3", dot: "1.5 2.5" };
  function legend(section, target) {
    const place = section.querySelector(".legend");
    place.replaceChildren(...target.methods.map((method) => {
      const { colour, dash } = look(method.name);
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!hidden.get(section).has(method.name)));
      button.innerHTML = `<svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" stroke="${colour}" stroke-width="2.5" stroke-dasharray="${DASHES[dash]}"/></svg>`;
      const failed = method.failed ? `, ${method.failed} of ${method.runs} cannot win` : "";
      button.append(method.name + (method.kind === "oracle" ? " (oracle)" : "") + (data.methods[method.name].unadjusted ? " (unadjusted)" : "") + failed);
      button.addEventListener("click", () => {
        const gone = hidden.get(section);
        if (!gone.delete(method.name)) gone.add(method.name);
        button.setAttribute("aria-pressed", String(!gone.has(method.name)));
        draw(section);
      });
      return button;
    }));
  }

  function words(section, target) {
    const list = (title, lines) => {
      const box = document.createElement("div");
      const head = document.createElement("h3");
      head.textContent = title;
      const items = document.createElement("ul");
      items.append(...lines.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
      box.append(head, items);
      return lines.length ? [box] : [];
    };
    const slopes = target.methods.flatMap((m) => {
      const slope = (m.metrics[metric().name] || {}).slope;
      return slope ? [`${m.name}: slope ${slope.value.toFixed(2)} [${slope.low.toFixed(2)}, ${slope.high.toFixed(2)}] over ${slope.points} checkpoints; independent draws have ${slope.expected}`] : [];
    });
    section.querySelector(".found").replaceChildren(
      ...list("In seconds", crossovers(target, "seconds").map((c) => c.text)),
      ...list("In gradient evaluations", crossovers(target, "evaluations").map((c) => c.text)),
      ...list("How the error of sampling falls with evaluations after warm-up", slopes));
  }

  // ---- drawing, when a section comes near the window ----------------------------------------------------------
  const near = new Set();
  const plotsOf = (section) => Object.fromEntries([...section.querySelectorAll(".plot")].map((place) => [place.dataset.plot, place]));
  function draw(section) {
    const target = data.targets[section.dataset.target];
    const plots = plotsOf(section);
    for (const axis of ["seconds", "evaluations"]) drawCurves(section, target, axis, plots[axis]);
    words(section, target);
  }
  function drawAll(section) {
    const target = data.targets[section.dataset.target];
    legend(section, target);
    draw(section);
    drawAsymmetry(target, plotsOf(section));
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || near.has(target)) continue;
      near.add(target);
      drawAll(target);
    }
  }, { rootMargin: "600px" });
  sections.forEach((section) => watcher.observe(section));
  for (const id of ["metric", "warmup", "compile", "bands", "floors", "slopes"])
    byId(id).addEventListener("change", () => near.forEach(draw));
  byId("goto").addEventListener("change", (event) => { location.hash = event.target.value; });
  window.addEventListener("beforeprint", () => sections.forEach((section) => { if (!near.has(section)) { near.add(section); drawAll(section); } }));

  // ---- theme -------------------------------------------------------------------------------------------------
  const system = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (dark) => { document.documentElement.dataset.theme = dark ? "dark" : "light"; near.forEach(drawAll); };
  setTheme(system.matches);
  system.addEventListener("change", (event) => setTheme(event.matches));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));

  // ---- tables ------------------------------------------------------------------------------------------------
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead tr:last-child th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
        const compare = (a, b) => {
          const [x, y] = [key(a), key(b)];
          const [m, n] = [parseFloat(x), parseFloat(y)];
          if (isNumber(x) && isNumber(y)) return m === n ? 0 : m - n;
          return x.localeCompare(y);
        };
        const unknown = (row) => key(row) === "";  // last, whichever way
        const rows = [...table.tBodies[0].rows].sort((a, b) => unknown(a) - unknown(b) || (up ? compare(a, b) : compare(b, a)));
        table.tBodies[0].append(...rows);
      });
    });
  }
  function isNumber(text) { return text !== "" && !Number.isNaN(Number(text)); }

  // ---- files -------------------------------------------------------------------------------------------------
  function download(name, type, content) {
    const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  byId("json").addEventListener("click", () => download("crossover.json", "application/json", JSON.stringify(data)));
  byId("csv").addEventListener("click", () => {
    const quote = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const rows = [["target", "method", "checkpoint", "seconds", "evaluations", "metric", "median", "low", "high"].join(",")];
    for (const target of data.targets) for (const method of target.methods) for (const [name, values] of Object.entries(method.metrics))
      values.mid.forEach((mid, i) => rows.push([quote(target.name), quote(method.name), i, method.cost.seconds.w[i] ?? "", method.cost.evaluations ? method.cost.evaluations.w[i] ?? "" : "", name, mid ?? "", values.low[i] ?? "", values.high[i] ?? ""].join(",")));
    download("crossover-curves.csv", "text/csv", rows.join("\n") + "\n");
  });
  document.querySelectorAll("button.svg").forEach((button) => button.addEventListener("click", () => {
    const place = button.closest("figure").querySelector(".plot");
    const name = data.targets[button.closest("section").dataset.target].name.replace(/[^A-Za-z0-9_.=-]+/g, "_");
    const figure = { data: place.data, layout: { ...place.layout, showlegend: true, paper_bgcolor: css("--ground"), legend: { font: { size: 11 } } } };
    Plotly.downloadImage(figure, { format: "svg", filename: `${name}-${button.dataset.plot}`, width: 1000, height: 560 });
  }));
})();
