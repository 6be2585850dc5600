// The page of the graph: what is chosen, by mouse, keyboard or address; and what is told beside it.
"use strict";
whenLoaded("graph", (data) => {
  const LAYERS = ["gold", "silver", "bronze", "raw"];
  const trace = new LakeTrace(data);
  const holder = document.getElementById("graph");
  const panel = document.getElementById("panel");
  const hint = panel.firstElementChild;
  const drawing = new LakeDrawing(holder, trace);
  const state = { table: null, column: null, open: new Set(), all: false };
  const many = trace.tables.length > LakeDrawing.MANY; // then only what belongs to the chosen one is drawn

  const make = (tag, options = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) key === "class" ? (made.className = value) : made.setAttribute(key, value);
    made.append(...inside);
    return made;
  };

  const every = () => new Set(trace.tables.keys());

  function draw() {
    const around = state.table === null ? null : trace.around(state.table);
    const path = state.column === null ? null : trace.follow(state.column);
    const onPath = new Map();
    for (const column of path ? [state.column, ...path.up.nodes, ...path.down.nodes] : []) {
      const [table, at] = column.split(".").map(Number);
      if (!onPath.has(table)) onPath.set(table, new Set());
      onPath.get(table).add(at);
    }
    const tables = state.table === null ? (many && !state.all ? new Set() : every()) : !many ? every() : path ? new Set(onPath.keys()) : new Set([state.table, ...around.up, ...around.down]);
    const columnsOf = (at) => {
      const lit = onPath.get(at) ?? new Set();
      if (!state.open.has(at)) return [...lit].sort((a, b) => a - b);
      const named = [...trace.tables[at].columns.keys()];
      return [...named.filter((column) => lit.has(column) || column < LakeDrawing.MOST - lit.size)];
    };
    drawing.show(tables, columnsOf, path ? [...path.up.edges, ...path.down.edges] : []);
    let lit = null;
    if (path) {
      const ids = (way) => new Set([...way.nodes].flatMap((column) => [`c${column}`, `t${column.split(".")[0]}`]).concat([...way.edges].map((edge) => `d${edge.from}-${edge.to}`)));
      const [up, down] = [ids(path.up), ids(path.down)];
      up.add(`t${state.table}`);
      drawing.light(`c${state.column}`, up, down);
      lit = new Set([...up, ...down]);
    } else if (around) {
      const ids = (set, way) => {
        const found = new Set([...set].map((at) => `t${at}`));
        for (const [from, to] of trace.edges) {
          const inside = way === "up" ? set.has(from) && (to === state.table || set.has(to)) : set.has(to) && (from === state.table || set.has(from));
          if (inside) found.add(`e${from}-${to}`);
        }
        return found;
      };
      const [up, down] = [ids(around.up, "up"), ids(around.down, "down")];
      for (const at of [...around.up, ...around.down, state.table]) for (const column of columnsOf(at)) (around.up.has(at) ? up : down).add(`c${at}.${column}`);
      drawing.light(`t${state.table}`, up, down);
      lit = new Set([`t${state.table}`, ...up, ...down]);
    } else drawing.light(null);
    drawing.fit(lit, state.table === null ? null : `t${state.table}`);
    holder.classList.toggle("blank", tables.size === 0);
    tell(around, path);
    const named = state.table === null ? "" : state.column === null ? trace.tables[state.table].name : `${trace.tables[state.table].name}.${trace.named(state.column).name}`;
    const wanted = named ? `#${encodeURIComponent(named)}` : location.pathname.split("/").pop() + location.search;
    if (decodeURIComponent(location.hash.slice(1)) !== named) history.replaceState(null, "", wanted);
    document.querySelector("[data-do=columns]").disabled = tables.size === 0;
  }

  // ── the words beside the graph ────────────────────────────────
  function tell(around, path) {
    if (state.table === null) {
      panel.replaceChildren(hint);
      if (many) panel.append(make("h3", {}, `${trace.tables.length.toLocaleString("en")} tables and sources`), lists(every(), 400));
      return;
    }
    const table = trace.tables[state.table];
    const head = make("div", { class: "head" }, make("span", { class: `layer ${table.layer}` }, table.layer), make("h2", { class: "mono" }, path ? trace.named(state.column).name : table.name));
    if (path) head.append(make("p", {}, "a column of ", go(table.name, () => choose(state.table))));
    else if (table.summary) head.append(make("p", {}, table.summary));
    const does = make("p", { class: "does" });
    if (table.page) does.append(make("a", { class: "button", href: `tables/${table.name}.html${path ? `#column-${encodeURIComponent(trace.named(state.column).name)}` : ""}` }, "Open the page"));
    if (table.columns.length) {
      const toggle = make("button", { type: "button", class: "button" }, state.open.has(state.table) ? "Hide columns" : `Show ${table.columns.length} columns`);
      toggle.addEventListener("click", () => expand(state.table));
      does.append(toggle);
    }
    panel.replaceChildren(head, does);
    if (!path) {
      panel.append(make("h3", {}, "Fed by ", make("b", {}, String(around.up.size))), lists(around.up), make("h3", {}, "Feeds ", make("b", {}, String(around.down.size))), lists(around.down));
      return;
    }
    panel.append(make("h3", {}, "Made from ", make("b", {}, String(path.up.nodes.size))), columns(path.up, "from"), make("h3", {}, "Goes into ", make("b", {}, String(path.down.nodes.size))), columns(path.down, "to"));
    const chosen = trace.choosers.get(state.table) ?? [];
    if (chosen.length) {
      panel.append(make("h3", {}, "Rows chosen by"), make("ul", { class: "reach" }, ...chosen.slice(0, 30).map(({ table: from, column, kind }) => {
        const name = trace.tables[from].columns[column] ?? "*";
        return make("li", {}, column < 0 ? make("span", {}, trace.tables[from].name) : go(`${trace.tables[from].name}.${name}`, () => choose(from, `${from}.${column}`)), make("small", {}, kind));
      })));
    }
  }

  function go(text, act) {
    const made = make("button", { type: "button", class: "go mono" }, ...text.split(/(?<=[._])/).flatMap((part) => [part, make("wbr")]));
    made.addEventListener("click", act);
    return made;
  }

  function lists(set, most = 60) {
    if (!set.size) return make("p", { class: "dim" }, "nothing");
    const named = [...set].map((at) => trace.tables[at]).sort((a, b) => LAYERS.indexOf(a.layer) - LAYERS.indexOf(b.layer) || a.name.localeCompare(b.name));
    const made = make("ul", { class: "reach" }, ...named.slice(0, most).map((table) => make("li", {}, make("i", { class: `dot ${table.layer}` }), go(table.name, () => choose(table.at)))));
    if (named.length > most) made.append(make("li", { class: "dim" }, `and ${(named.length - most).toLocaleString("en")} more: search finds them`));
    return made;
  }

  function columns(way, end) {
    if (!way.nodes.size) return make("p", { class: "dim" }, end === "from" ? "nothing that is known" : "nothing");
    const kinds = new Map();
    for (const edge of way.edges) if (!kinds.has(edge[end])) kinds.set(edge[end], edge.kind);
    return make("ul", { class: "reach" }, ...[...way.nodes].slice(0, 80).map((column) => {
      const { table, name } = trace.named(column);
      return make("li", {}, make("i", { class: `dot ${table.layer}` }), go(`${table.name}.${name}`, () => choose(table.at, column)), make("small", {}, kinds.get(column) ?? ""));
    }));
  }

  // ── what can be done ──────────────────────────────────────────
  function choose(table, column = null) {
    state.table = table;
    state.column = column;
    draw();
  }

  function clear() {
    state.table = state.column = null;
    state.open.clear();
    draw();
  }

  function expand(at) {
    if (!state.open.delete(at)) state.open.add(at);
    draw();
  }

  const { cy } = drawing;
  cy.on("tap", (event) => {
    holder.focus({ preventScroll: true });
    if (event.target === cy) { if (state.table !== null) clear(); return; }
    if (!event.target.isNode()) return;
    const { at, column } = event.target.data();
    if (column !== undefined) choose(at, column);
    else if (state.table === at && state.column === null) expand(at);
    else choose(at);
  });
  cy.on("mouseover", "node.table, node.column", () => (holder.style.cursor = "pointer"));
  cy.on("mouseout", "node", () => (holder.style.cursor = ""));

  const acts = {
    in: () => cy.zoom({ level: cy.zoom() * 1.25, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } }),
    out: () => cy.zoom({ level: cy.zoom() / 1.25, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } }),
    fit: () => drawing.fit(null),
    columns: () => {
      const shown = cy.nodes(".table").map((node) => node.data("at"));
      if (shown.every((at) => state.open.has(at))) state.open.clear();
      else for (const at of shown) state.open.add(at);
      draw();
    },
    all: () => { state.all = true; clear(); },
  };
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => acts[button.dataset.do]());

  // The next table in a direction: along edges, else the nearest beside it.
  function step(key) {
    const here = state.table === null ? null : cy.getElementById(`t${state.table}`);
    if (!here || here.empty()) {
      const first = cy.nodes(".table").sort((a, b) => b.position("x") - a.position("x") || a.position("y") - b.position("y"))[0];
      if (first) choose(first.data("at"));
      return;
    }
    const { x, y } = here.position();
    const sideways = key === "ArrowLeft" || key === "ArrowRight";
    const table = trace.tables[state.table];
    const near = sideways
      ? cy.nodes(".table").filter((node) => table[key === "ArrowLeft" ? "up" : "down"].includes(node.data("at")))
      : cy.nodes(".table").filter((node) => Math.abs(node.position("x") - x) < 170 && (key === "ArrowUp" ? node.position("y") < y : node.position("y") > y));
    const best = near.sort((a, b) => Math.abs(a.position("y") - y) - Math.abs(b.position("y") - y))[0];
    if (best) choose(best.data("at"));
  }

  holder.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) step(event.key);
    else if (event.key === "Enter" && state.table !== null) expand(state.table);
    else if (event.key === "Escape") clear();
    else if (event.key === "+" || event.key === "=") acts.in();
    else if (event.key === "-") acts.out();
    else if (event.key.toLowerCase() === "f") acts.fit();
    else if (event.key.toLowerCase() === "o" && state.table !== null && trace.tables[state.table].page) location.href = `tables/${trace.tables[state.table].name}.html`;
    else return;
    event.preventDefault();
  });

  function fromAddress() {
    const found = trace.find(decodeURIComponent(location.hash.slice(1)));
    state.table = found ? found.table : null;
    state.column = found ? found.column : null;
    draw();
  }
  addEventListener("hashchange", fromAddress);
  document.addEventListener("lake-theme", () => drawing.restyle());
  window.lakeLineage = { cy, state }; // for whoever looks from the console, tests among them
  fromAddress();
});
