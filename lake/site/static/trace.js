// The graph of tables and columns, and what can be asked of it. Knows nothing of how it is drawn.
"use strict";
class LakeTrace {
  constructor({ tables, edges, columns, values }) {
    this.tables = tables.map(([name, layer, summary, rows, version, named, page], at) => ({ at, name, layer, summary, rows, version, columns: named, page: page === 1, up: [], down: [] }));
    this.number = new Map(this.tables.map((table) => [table.name, table.at]));
    this.edges = edges;
    for (const [from, to] of edges) {
      this.tables[from].down.push(to);
      this.tables[to].up.push(from);
    }
    const isValue = new Set(values);
    this.into = new Map();
    this.outOf = new Map();
    this.choosers = new Map(); // by table: what decides which rows it has
    for (const [from, source, to, target, kind] of columns) {
      if (target < 0) {
        if (!this.choosers.has(to)) this.choosers.set(to, []);
        this.choosers.get(to).push({ table: from, column: source, kind });
      } else if (source >= 0 && isValue.has(kind)) {
        const edge = { from: `${from}.${source}`, to: `${to}.${target}`, kind };
        this.#add(this.into, edge.to, edge);
        this.#add(this.outOf, edge.from, edge);
      }
    }
  }

  #add(map, key, edge) {
    if (!map.has(key)) map.set(key, []);
    map.get(key).push(edge);
  }

  // The tables above and below one, without itself.
  around(at) {
    return { up: this.#reach(at, "up"), down: this.#reach(at, "down") };
  }

  #reach(at, way) {
    const found = new Set();
    const waiting = [...this.tables[at][way]];
    while (waiting.length) {
      const next = waiting.pop();
      if (next === at || found.has(next)) continue;
      found.add(next);
      waiting.push(...this.tables[next][way]);
    }
    return found;
  }

  // The columns above and below one (by "table.column" in numbers), and the edges between them.
  follow(column) {
    const go = (map, other) => {
      const nodes = new Set();
      const edges = new Set();
      const waiting = [column];
      const seen = new Set(waiting);
      while (waiting.length) {
        for (const edge of map.get(waiting.pop()) ?? []) {
          edges.add(edge);
          if (edge[other] !== column) nodes.add(edge[other]);
          if (!seen.has(edge[other])) { seen.add(edge[other]); waiting.push(edge[other]); }
        }
      }
      return { nodes, edges };
    };
    return { up: go(this.into, "from"), down: go(this.outOf, "to") };
  }

  // What a name of an address means: a table, or a column of one.
  find(name) {
    if (this.number.has(name)) return { table: this.number.get(name), column: null };
    for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
      const table = this.number.get(name.slice(0, dot));
      if (table === undefined) continue;
      const column = this.tables[table].columns.indexOf(name.slice(dot + 1));
      if (column >= 0) return { table, column: `${table}.${column}` };
    }
    return null;
  }

  // A column's name, from its numbers.
  named(column) {
    const [table, at] = column.split(".").map(Number);
    return { table: this.tables[table], name: this.tables[table].columns[at] };
  }
}
