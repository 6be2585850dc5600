// What every page does: search, light and dark, what is stale by now, filters, tabs, copying.
"use strict";
(function () {
  const root = document.body.dataset.root;
  const make = (tag, options = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) {
      if (key === "class") made.className = value;
      else made.setAttribute(key, value);
    }
    made.append(...inside);
    return made;
  };

  // ── light and dark ─────────────────────────────────────────────
  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("lake-theme", document.documentElement.dataset.theme); } catch { /* not kept */ }
    document.dispatchEvent(new Event("lake-theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("lake-theme")));

  // ── time: what was fresh when the pages were made may be stale when they are read ──
  const now = Date.now();
  for (const told of document.querySelectorAll("[data-until]")) {
    if (Date.parse(told.dataset.until) >= now) continue;
    told.dataset.stale = "";
    if (!told.classList.contains("fresh")) continue;
    told.classList.add("stale");
    const words = [...told.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.includes("fresh until"));
    if (words) words.data = "stale since ";
    told.title = "As far as these pages know: newer files may have landed since they were made.";
  }
  whenLoaded("moment", (moment) => {
    const made = document.getElementById("made");
    if (made) made.textContent = `; these pages were made on ${moment.slice(0, 16).replace("T", " ")} UTC`;
  });

  // ── the filters of the front page ──────────────────────────────
  const cards = [...document.querySelectorAll(".card")];
  const trouble = document.querySelector("[data-trouble]");
  if (trouble) {
    const troubled = (card) => "broken" in card.dataset || "stale" in card.dataset;
    document.getElementById("troubles").textContent = cards.filter(troubled).length;
    const filter = () => {
      const layers = new Set([...document.querySelectorAll("[data-layer][aria-pressed=true]")].map((button) => button.dataset.layer));
      const only = trouble.getAttribute("aria-pressed") === "true";
      for (const card of cards) card.hidden = !layers.has(card.dataset.layer) || (only && !troubled(card));
      for (const section of document.querySelectorAll(".subject")) section.hidden = !section.querySelector(".card:not([hidden])");
      document.querySelector(".nothing").hidden = cards.some((card) => !card.hidden);
    };
    for (const button of document.querySelectorAll(".toggle")) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        filter();
      });
    }
  }

  // ── tabs and copying ───────────────────────────────────────────
  for (const tabs of document.querySelectorAll("[data-tabs]")) {
    const buttons = [...tabs.querySelectorAll("[role=tab]")];
    const choose = (chosen) => {
      for (const button of buttons) {
        const on = button === chosen;
        button.setAttribute("aria-selected", String(on));
        button.tabIndex = on ? 0 : -1;
        document.getElementById(button.getAttribute("aria-controls")).hidden = !on;
      }
      chosen.focus();
    };
    for (const [at, button] of buttons.entries()) {
      button.addEventListener("click", () => choose(button));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) choose(buttons[(at + step + buttons.length) % buttons.length]);
      });
    }
    for (const block of tabs.querySelectorAll("pre")) {
      const copy = make("button", { type: "button", class: "copy" }, "Copy");
      copy.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(block.querySelector("code").textContent);
          copy.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(block.querySelector("code"));
          copy.textContent = "Selected";
        }
        setTimeout(() => (copy.textContent = "Copy"), 1600);
      });
      block.parentElement.append(copy);
    }
  }
  for (const wide of document.querySelectorAll(".scroll")) {
    const mark = () => wide.classList.toggle("more", wide.scrollLeft + wide.clientWidth < wide.scrollWidth - 2);
    wide.addEventListener("scroll", mark, { passive: true });
    new ResizeObserver(() => {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0; // so that the keyboard can scroll it too
      mark();
    }).observe(wide);
  }
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (const details of target.querySelectorAll(":scope > details")) details.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  if (document.body.dataset.page !== "lineage") open();

  // ── search ─────────────────────────────────────────────────────
  const input = document.getElementById("search");
  const list = document.getElementById("found");
  const MOST = 30;
  let entries = null;
  let chosen = -1;

  const load = () => {
    if (document.getElementById("search-data")) return;
    document.head.append(make("script", { id: "search-data", src: `${root}data/search.js` }));
    whenLoaded("search", (tables) => {
      entries = [];
      for (const [name, summary, owner, columns] of tables) {
        entries.push({ kind: "table", name, about: summary, more: owner, href: `${root}tables/${name}.html` });
        for (const [column, unit, meaning] of columns) {
          entries.push({ kind: "column", name: column, table: name, about: meaning, more: unit, href: `${root}tables/${name}.html#column-${encodeURIComponent(column)}` });
        }
      }
      for (const entry of entries) {
        entry.inName = entry.name.toLowerCase();
        entry.inAll = `${entry.inName} ${entry.table ?? ""} ${entry.about} ${entry.more}`.toLowerCase();
      }
      show();
    });
  };

  // Lower is better: the name itself, its beginning, a word of it, part of it, then what is said of it; tables before columns.
  const rank = (entry, words) => {
    let worst = 0;
    for (const word of words) {
      if (!entry.inAll.includes(word)) return null;
      const at = entry.inName.indexOf(word);
      const last = entry.inName.slice(entry.inName.lastIndexOf(".") + 1);
      const grade = last === word || entry.inName === word ? 0 : last.startsWith(word) ? 1 : at > 0 && /[._ ]/.test(entry.inName[at - 1]) ? 2 : at >= 0 ? 3 : 5;
      worst = Math.max(worst, grade);
    }
    return worst * 2 + (entry.kind === "table" ? 0 : entry.name.startsWith("_") ? 3 : 1);
  };

  const marked = (text, words) => {
    const made = make("span");
    const low = text.toLowerCase();
    let at = 0;
    while (at < text.length) {
      const next = words.map((word) => [low.indexOf(word, at), word.length]).filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0] || b[1] - a[1])[0];
      if (!next || low.length !== text.length) break;
      made.append(text.slice(at, next[0]), make("mark", {}, text.slice(next[0], next[0] + next[1])));
      at = next[0] + next[1];
    }
    made.append(text.slice(at));
    return made;
  };

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    const visible = words.length > 0 && document.activeElement === input;
    list.hidden = !visible;
    input.setAttribute("aria-expanded", String(visible));
    if (!visible) return;
    if (!entries) {
      list.append(make("p", {}, "Reading what there is …"));
      return;
    }
    const hits = [];
    for (const entry of entries) {
      const grade = rank(entry, words);
      if (grade !== null) hits.push([grade, entry]);
    }
    hits.sort((a, b) => a[0] - b[0] || a[1].name.length - b[1].name.length || a[1].name.localeCompare(b[1].name));
    for (const [number, [, entry]] of hits.slice(0, MOST).entries()) {
      const layer = (entry.table ?? entry.name).split(".")[0];
      list.append(
        make("a", { role: "option", id: `hit-${number}`, href: entry.href, tabindex: "-1", "aria-selected": "false" },
          make("i", { class: `dot ${layer}`, "aria-hidden": "true" }),
          make("b", {}, marked(entry.name, words)),
          make("small", {}, entry.kind === "table" ? "table" : `in ${entry.table}`),
          make("span", { class: "about" }, marked([entry.about, entry.more].filter(Boolean).join(" · "), words))),
      );
    }
    if (!hits.length) list.append(make("p", {}, `Nothing here is called or described like “${input.value.trim()}”.`));
    else if (hits.length > MOST) list.append(make("p", {}, `${(hits.length - MOST).toLocaleString("en")} more; another word narrows them down`));
    choose(0);
  };

  const choose = (number) => {
    const options = [...list.querySelectorAll("[role=option]")];
    if (!options.length) return;
    chosen = (number + options.length) % options.length;
    for (const [at, option] of options.entries()) option.setAttribute("aria-selected", String(at === chosen));
    input.setAttribute("aria-activedescendant", options[chosen].id);
    options[chosen].scrollIntoView({ block: "nearest" });
  };

  input.addEventListener("focus", () => { load(); show(); });
  input.addEventListener("input", show);
  input.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== input) show(); }, 150));
  list.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the input's focus, so that the list stays
  list.addEventListener("click", () => { list.hidden = true; input.blur(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") list.querySelectorAll("[role=option]")[chosen]?.click();
    else if (event.key === "Escape") { input.value = ""; show(); input.blur(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, textarea, select, [contenteditable]");
    if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
})();
