// Draws tables and columns with Cytoscape, laid out by dagre: a box a table, a line a column in it, a curve for each edge.
"use strict";
class LakeDrawing {
  static HEAD = 48;
  static LINE = 22;
  static MOST = 60; // columns of one box
  static MANY = 120; // boxes from which on speed comes before looks

  constructor(container, trace) {
    this.trace = trace;
    this.several = new Set(trace.tables.map((table) => table.name.replace("/", ".").split(".")[1])).size > 1;
    this.pen = document.createElement("canvas").getContext("2d");
    this.cy = cytoscape({
      container,
      minZoom: 0.05,
      maxZoom: 2.5,
      autoungrabify: true,
      boxSelectionEnabled: false,
      selectionType: "single",
      textureOnViewport: trace.tables.length > 200,
      hideEdgesOnViewport: trace.tables.length > 200,
    });
    this.restyle();
    new ResizeObserver(() => this.cy.resize()).observe(container);
  }

  label(table) {
    const parts = table.name.replace("/", ".").split(".");
    return parts.slice(this.several ? 1 : 2).join(".");
  }

  // Puts `tables` (numbers) on the page, each with the columns that `columnsOf` gives, and draws the column edges `derived`.
  show(tables, columnsOf, derived) {
    const graph = new dagre.graphlib.Graph({ multigraph: false });
    graph.setGraph({ rankdir: "LR", nodesep: 16, ranksep: 84, edgesep: 8, marginx: 20, marginy: 20, ranker: tables.size > LakeDrawing.MANY ? "tight-tree" : "network-simplex" });
    graph.setDefaultEdgeLabel(() => ({}));
    const between = this.trace.edges.filter(([from, to]) => tables.has(from) && tables.has(to) && from !== to);
    const depth = this.#depths(tables, between);
    const boxes = new Map();
    const widths = new Map(); // by depth, so that boxes below each other are as wide
    for (const at of [...tables].sort((a, b) => a - b)) {
      const table = this.trace.tables[at];
      const columns = columnsOf(at).slice(0, LakeDrawing.MOST);
      const names = columns.map((column) => table.columns[column]);
      this.pen.font = "600 13px system-ui, sans-serif";
      const head = this.pen.measureText(this.label(table)).width;
      this.pen.font = "12px ui-monospace, monospace";
      const widest = Math.max(head + 36, this.#told(table).length * 6.2 + 30, 128, ...names.map((name) => this.pen.measureText(name).width + 34));
      boxes.set(at, { table, columns, names, width: 0, height: LakeDrawing.HEAD + (columns.length ? columns.length * LakeDrawing.LINE + 6 : 0) });
      widths.set(depth.get(at), Math.max(widths.get(depth.get(at)) ?? 0, Math.min(340, Math.ceil(widest))));
    }
    for (const [at, box] of boxes) {
      box.width = widths.get(depth.get(at));
      graph.setNode(String(at), { width: box.width, height: box.height });
    }
    for (const [from, to] of between) {
      // Each box has an edge from the depth before, so its place does not depend on the long ones; where there are many, these only cost time.
      const long = Math.max(1, depth.get(to) - depth.get(from));
      if (tables.size <= LakeDrawing.MANY || long === 1) graph.setEdge(String(from), String(to), { minlen: long });
    }
    // An unseen box before the first ones keeps what is not connected in step.
    graph.setNode("root", { width: 1, height: 1 });
    for (const at of boxes.keys()) if (depth.get(at) === 0) graph.setEdge("root", String(at), { minlen: 1, weight: 0.01 });
    dagre.layout(graph);

    const elements = [];
    for (const [at, { table, columns, names, width, height }] of boxes) {
      const { x, y } = graph.node(String(at));
      const top = y - height / 2;
      elements.push(
        { group: "nodes", data: { id: `t${at}`, at, label: this.label(table), width, height, lift: LakeDrawing.HEAD / 2 - height / 2 - 8, stripe: 500 / width }, position: { x, y }, classes: `table ${table.layer}` },
        { group: "nodes", data: { id: `s${at}`, label: this.#told(table) }, position: { x, y: top + LakeDrawing.HEAD / 2 + 10 }, classes: "told" },
      );
      for (const [place, column] of columns.entries()) {
        elements.push({
          group: "nodes",
          data: { id: `c${at}.${column}`, at, column: `${at}.${column}`, label: this.#cut(names[place], width - 30), width: width - 10, shift: 24 - width },
          position: { x: x + 2, y: top + LakeDrawing.HEAD + (place + 0.5) * LakeDrawing.LINE },
          classes: `column ${table.layer}`,
        });
      }
    }
    for (const [from, to, hop] of between) elements.push({ group: "edges", data: { id: `e${from}-${to}`, source: `t${from}`, target: `t${to}`, hop }, classes: `edge ${this.trace.tables[from].layer}` });
    const there = new Set(elements.map((element) => element.data.id));
    const drawn = new Map();
    for (const { from, to, kind } of derived) {
      if (there.has(`c${from}`) && there.has(`c${to}`)) drawn.set(`d${from}-${to}`, { group: "edges", data: { id: `d${from}-${to}`, source: `c${from}`, target: `c${to}`, kind }, classes: "derived" });
    }
    elements.push(...drawn.values());
    this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(elements);
    });
  }

  #told(table) {
    return table.layer === "raw" ? "raw files" : `${table.layer}${table.rows === null ? "" : ` · ${table.rows.toLocaleString("en")} rows`}`;
  }

  // How many steps each table is from where its rows came in: raw files are all at the left.
  #depths(tables, between) {
    const depth = new Map([...tables].map((at) => [at, 0]));
    for (let moved = true, left = tables.size; moved && left > 0; left -= 1) {
      moved = false;
      for (const [from, to] of between) {
        if (depth.get(to) <= depth.get(from)) {
          depth.set(to, depth.get(from) + 1);
          moved = true;
        }
      }
    }
    return depth;
  }

  #cut(text, width) {
    this.pen.font = "12px ui-monospace, monospace";
    if (this.pen.measureText(text).width <= width) return text;
    let end = text.length;
    while (end > 1 && this.pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
    return `${text.slice(0, end)}…`;
  }

  // Lights up what is above and below the chosen one; everything else steps back. Sets of ids of nodes and edges.
  light(chosen, up, down) {
    this.cy.batch(() => {
      this.cy.elements().removeClass("chosen up down away");
      if (!chosen) return;
      this.cy.elements().not(".told").forEach((element) => {
        const id = element.id();
        if (id === chosen) element.addClass("chosen");
        else if (up.has(id)) element.addClass("up");
        else if (down.has(id)) element.addClass("down");
        else element.addClass("away");
      });
      this.cy.nodes(".told").forEach((told) => { if (this.cy.getElementById(`t${told.id().slice(1)}`).hasClass("away")) told.addClass("away"); });
    });
  }

  // Brings what is lit into the window, or all of it. Where that would be too small to read, what is around the `chosen` box.
  fit(ids, chosen = null) {
    const wanted = ids ? this.cy.nodes(".table").filter((node) => ids.has(node.id())) : this.cy.nodes(".table");
    if (wanted.empty()) return;
    this.cy.fit(wanted, 36);
    if (this.cy.zoom() > 1.15) {
      this.cy.zoom(1.15);
      this.cy.center(wanted);
    } else if (chosen && this.cy.zoom() < 0.5) {
      this.cy.zoom(0.62);
      this.cy.center(this.cy.getElementById(chosen));
    } else if (this.cy.zoom() < 0.2) { // far more tables than the window holds: from the top, as wide as it is
      const { x1, y1, w } = wanted.boundingBox();
      const zoom = Math.min(0.6, (this.cy.width() - 72) / w);
      this.cy.viewport({ zoom, pan: { x: 36 - x1 * zoom, y: 36 - y1 * zoom } });
    }
  }

  restyle() {
    const page = getComputedStyle(document.documentElement);
    const colour = (name) => page.getPropertyValue(`--${name}`).trim();
    const curve = (edge) => {
      const { x1, y1, x2, y2 } = this.#ends(edge);
      const [dx, dy] = [x2 - x1, y2 - y1];
      const square = dx * dx + dy * dy || 1;
      const bend = Math.max(24, Math.abs(dx) * 0.4);
      return { weight: (bend * dx) / square, distance: (-bend * dy) / Math.sqrt(square) };
    };
    const layers = ["raw", "bronze", "silver", "gold"].flatMap((name) => [
      { selector: `node.table.${name}`, style: { "border-color": colour(name), "background-gradient-stop-colors": [colour(name), colour(name), colour("card"), colour("card")].join(" ") } },
      { selector: `edge.edge.${name}`, style: { "line-color": colour(name), "target-arrow-color": colour(name) } },
    ]);
    this.cy.style([
      { selector: "node", style: { "font-family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", color: colour("ink"), "z-index-compare": "manual", "min-zoomed-font-size": 5, "overlay-opacity": 0 } },
      { selector: "node.table", style: {
        shape: "round-rectangle", "corner-radius": 9, width: "data(width)", height: "data(height)", label: "data(label)", "text-valign": "center", "text-margin-y": "data(lift)",
        "font-size": 13, "font-weight": 600, "background-fill": "linear-gradient", "background-gradient-direction": "to-right",
        "background-gradient-stop-positions": (node) => `0 ${node.data("stripe")} ${node.data("stripe")} 100`, "border-width": 1.2, "z-index": 10, "transition-property": "opacity", "transition-duration": 120,
      } },
      ...layers,
      { selector: "node.told", style: { width: 1, height: 1, "background-opacity": 0, label: "data(label)", "text-valign": "center", "font-size": 10.5, color: colour("muted"), events: "no", "z-index": 11 } },
      { selector: "node.column", style: {
        shape: "round-rectangle", "corner-radius": 4, width: "data(width)", height: LakeDrawing.LINE - 2, label: "data(label)", "text-halign": "right", "text-valign": "center", "text-margin-x": "data(shift)",
        "font-size": 12, "font-family": "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", "background-color": colour("sunk"), "background-opacity": 0.85, "z-index": 20,
      } },
      { selector: "edge", style: {
        "curve-style": "unbundled-bezier", "edge-distances": "endpoints", "source-endpoint": "90deg", "target-endpoint": "270deg", "control-point-weights": (edge) => { const { weight } = curve(edge); return [weight, 1 - weight]; },
        "control-point-distances": (edge) => { const { distance } = curve(edge); return [distance, -distance]; }, width: 1.6, opacity: 0.55, "z-index-compare": "manual", "z-index": 1, "overlay-opacity": 0, events: "no",
        "target-arrow-shape": "triangle", "arrow-scale": 0.7,
      } },
      { selector: "edge.derived", style: { "line-color": colour("accent"), "target-arrow-color": colour("accent"), width: 1.6, opacity: 0.9, "z-index": 30 } },
      { selector: "node.away", style: { opacity: 0.22 } },
      { selector: "node.column.away", style: { opacity: 0.45 } },
      { selector: "edge.away", style: { opacity: 0.08 } },
      { selector: "node.table.up, node.table.down", style: { "border-width": 2 } },
      { selector: "node.chosen", style: { "border-width": 3, "border-color": colour("accent") } },
      { selector: "node.column.up", style: { "background-color": colour("up"), "background-opacity": 1 } },
      { selector: "node.column.down", style: { "background-color": colour("down"), "background-opacity": 1 } },
      { selector: "node.column.chosen", style: { "background-color": colour("accent"), "background-opacity": 1, color: colour("card"), "border-width": 0 } },
      { selector: "edge.up, edge.down", style: { opacity: 0.95, width: 2.4 } },
    ]);
  }

  #ends(edge) {
    const [from, to] = [edge.source(), edge.target()];
    return { x1: from.position("x") + from.data("width") / 2, y1: from.position("y"), x2: to.position("x") - to.data("width") / 2, y2: to.position("y") };
  }
}
