// The heat map: which layer moves which semantic. A click on a cell moves that layer.

import { element, focusOne, walkable } from "./dom.js";
import { interval, signed } from "./format.js";
import { layersOf, same, stepOf, withLayers, withStep } from "./state.js";

const MANY = 12; // layers, beyond which cells have no figures
const PALE = 0.35; // how deep a colour is of what is not sure

/** Fills an element with the maps of a run, one shown at a time. */
export function heatMaps(root, run, history) {
  const maps = run.heats.map((heat) => new HeatMap(heat, run, history));
  if (maps.length > 1) root.append(choice(maps));
  root.append(...maps.map((map) => map.root));
  maps.forEach((map, index) => {
    map.root.hidden = index > 0;
  });
  history.follow((state) => maps.forEach((map) => map.show(state)));
}

function choice(maps) {
  const options = maps.map((map, index) =>
    element(
      "label",
      {},
      element("input", {
        type: "radio", name: "heat", value: index, checked: index === 0,
        onchange: () => maps.forEach((other) => { other.root.hidden = other !== map; }),
      }),
      map.heat.signed ? "along boundaries" : "without a direction",
    ),
  );
  return element("fieldset", { class: "choice" }, element("legend", { class: "unseen", text: "Heat map" }), ...options);
}

class HeatMap {
  #cells = []; // {cell, semantic, layers}
  #run;
  #history;
  #moves = null; // what the cells show

  constructor(heat, run, history) {
    this.heat = heat;
    this.#run = run;
    this.#history = history;
    const columns = heat.columns.map(({ label, name }) => element("th", { scope: "col", title: name, text: label }));
    const rows = heat.rows.map((name, index) => this.#row(name, index));
    const table = element(
      "table",
      { class: `heat${heat.columns.length > MANY ? " many" : ""}`, "aria-label": heat.title },
      element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "name", text: "Semantic" }), ...columns)),
      element("tbody", {}, ...rows),
    );
    table.style.setProperty("--columns", heat.columns.length);
    const buttons = this.#cells.map(({ cell }) => cell);
    focusOne(buttons, 0);
    walkable(table, () => buttons, () => heat.columns.length);
    this.root = element(
      "div",
      { class: "map" },
      element("p", { class: "note", text: heat.signed ? `${heat.title}, in ${heat.unit}` : heat.title }),
      element("div", { class: "scroll" }, table),
      element("p", { class: "legend", "aria-hidden": "true" }, element("span", {}, element("i", { class: "sample sure" }), heat.sure_means ?? "sure"), element("span", {}, element("i", { class: "sample unsure" }), "not sure"), element("span", {}, element("i", { class: "sample on" }), "moved now")),
    );
  }

  show(state) {
    if (state.moves === this.#moves) return;
    const before = this.#moves;
    this.#moves = state.moves;
    for (const { cell, semantic, layers } of this.#cells) {
      if (before !== null && before[semantic.name] === state.moves[semantic.name]) continue;
      const on = stepOf(state, semantic.name) !== 0 && layers.every((layer) => layersOf(state, semantic).includes(layer));
      if (cell.ariaPressed !== `${on}`) cell.setAttribute("aria-pressed", on);
    }
  }

  #row(name, index) {
    const semantic = this.#run.semantics.find((one) => one.name === name);
    const values = this.heat.values[index];
    const strongest = Math.max(...values.map((value) => Math.abs(value ?? 0)));
    const cells = values.map((value, column) => {
      const share = value === null || !(strongest > 0) ? 0 : Math.abs(value) / strongest;
      return this.#cell(semantic, name, index, column, value, share * (this.heat.sure[index][column] ? 1 : PALE));
    });
    return element("tr", { "data-named": name }, element("th", { scope: "row", class: "name", title: name }, element("i", { class: `dot ${semantic?.level ?? ""}`, "aria-hidden": "true" }), name), ...cells);
  }

  #cell(semantic, name, index, column, value, shade) {
    const { layers, label } = this.heat.columns[column];
    const sure = this.heat.sure[index][column];
    const text = value !== null && (sure || Math.abs(value) >= 0.05) ? short(value) : "";
    const classes = ["cell", value < 0 ? "down" : "up", sure ? "sure" : "unsure", shade > 0.55 ? "deep" : ""].filter(Boolean).join(" ");
    const measured = value === null ? "not measured" : `${this.heat.signed ? signed(value) : value.toFixed(3)} ${this.heat.unit} ${interval(this.heat.low[index][column], this.heat.high[index][column], this.heat.signed ? 2 : 3)}, ${sure ? (this.heat.sure_means ?? "sure") : "not sure"}`;
    const what = `${name}, layer ${label}: ${measured}`;
    if (!semantic?.movable) return element("td", {}, shaded(element("span", { class: classes, text, title: what }), shade));
    const cell = shaded(element("button", { type: "button", class: classes, text, title: what, "aria-label": what, onclick: (event) => this.#clicked(semantic, layers, event.shiftKey || event.ctrlKey || event.metaKey) }), shade);
    this.#cells.push({ cell, semantic, layers });
    return element("td", {}, cell);
  }

  // A click moves the layer alone, and a second one takes that back; with Shift it joins or leaves the others.
  #clicked(semantic, layers, joins) {
    const state = this.#history.current;
    const before = layersOf(state, semantic);
    const moves = stepOf(state, semantic.name) !== 0;
    const step = moves ? stepOf(state, semantic.name) : semantic.step;
    if (moves && !joins && same(before, layers)) {
      this.#history.keep(withStep(withLayers(state, semantic, semantic.layers), semantic, 0));
      return;
    }
    const has = layers.every((layer) => before.includes(layer));
    const joined = has ? before.filter((layer) => !layers.includes(layer)) : [...before, ...layers];
    this.#history.keep(withStep(withLayers(state, semantic, joins && moves ? joined : layers), semantic, step));
  }
}

// For a narrow cell: ".45", "−.10", "1.2".
function short(value) {
  const size = Math.abs(value);
  const text = size >= 0.995 ? size.toFixed(1) : size.toFixed(2).slice(1);
  return (value < 0 ? "−" : "") + text;
}

function shaded(cell, shade) {
  cell.style.setProperty("--shade", shade.toFixed(3));
  return cell;
}
