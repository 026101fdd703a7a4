// A slider for every semantic that has a boundary, by level; those without a shown effect are folded away, with the reason.

import { drawn, element, say } from "./dom.js";
import { count, layersInWords, step as stepText } from "./format.js";
import { layersOf, stepOf, withLayers, withStep } from "./state.js";
import { Toggles } from "./toggles.js";

const LEVELS = ["layout", "object", "attribute", "color"];
const POSITIONS = 120; // of a slider

/** Fills an element with the sliders of a run; they change the history, and `follow` keeps them as it is. */
export function sliders(root, run, history) {
  const movable = run.semantics.filter((semantic) => semantic.movable);
  const shown = movable.filter((semantic) => semantic.status === "shown");
  const others = run.semantics.filter((semantic) => semantic.status !== "shown" || !semantic.movable);
  const rows = movable.map((semantic) => new Row(semantic, run, history));
  const rowOf = new Map(rows.map((row) => [row.semantic, row]));
  for (const level of [...LEVELS, null]) {
    const members = shown.filter((semantic) => (LEVELS.includes(semantic.level) ? semantic.level : null) === level);
    if (members.length > 0) root.append(group(level, members.map((semantic) => rowOf.get(semantic))));
  }
  if (others.length > 0) root.append(folded(others, rowOf, shown.length === 0));
  history.follow((state) => rows.forEach((row) => row.show(state)));
}

function group(level, rows) {
  const title = element("h3", {}, element("i", { class: `dot ${level ?? ""}`, "aria-hidden": "true" }), level ?? "other");
  return element("div", { class: "level" }, title, ...rows.map((row) => row.root));
}

function folded(semantics, rowOf, open) {
  const items = semantics.map((semantic) => {
    const why = element("p", { class: "why", text: semantic.why });
    const row = rowOf.get(semantic);
    if (row) row.root.append(why);
    return row ? row.root : element("div", { class: "semantic", "data-named": semantic.name }, element("span", { class: "name", text: semantic.name }), why);
  });
  const title = open ? `${count(items.length, "semantic")}, none with a shown effect` : `${items.length} without a shown effect`;
  return element("details", { class: "unshown", open }, element("summary", { text: title }), ...items);
}

class Row {
  #history;
  #layers;
  #slider;
  #value;
  #button;
  #bars;
  #toggles;
  #words;
  #move = null; // what the row shows

  constructor(semantic, run, history) {
    this.semantic = semantic;
    this.#history = history;
    this.#layers = run.network.layers.length;
    const id = `step-${run.semantics.indexOf(semantic)}`;
    const [low, high] = semantic.range;
    this.#slider = element("input", {
      type: "range", id, min: low, max: high, step: position((high - low) / POSITIONS), value: 0,
      "data-semantic": semantic.name,
      oninput: () => history.move(this.#moved()),
      onchange: () => history.keep(this.#moved(), `step ${semantic.name}`),
      onkeydown: (event) => this.#pressed(event),
      ondblclick: () => this.#set(0),
    });
    this.#slider.style.setProperty("--zero", (0 - low) / (high - low));
    this.#slider.style.setProperty("--tick", ((semantic.step_from ? semantic.step : 0) - low) / (high - low)); // at 0 it is not seen
    this.#value = element("button", { type: "button", class: "value", title: `Set to ${stepText(semantic.step)}, or back to 0`, onclick: () => this.#set(stepOf(history.current, semantic.name) === 0 ? semantic.step : 0) });
    this.#bars = run.network.layers.map((_, layer) => drawn("rect", { x: layer * 4, width: 3, height: 10 }));
    const glyph = drawn("svg", { class: "bars", viewBox: `0 0 ${this.#layers * 4 - 1} 10`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...this.#bars);
    glyph.style.width = `${Math.min(this.#layers * 4 - 1, 54)}px`;
    this.#words = element("span", { class: "unseen" });
    this.#button = element("button", { type: "button", class: "layers", "aria-expanded": "false", "aria-controls": `${id}-layers`, onclick: () => this.#open() }, glyph, this.#words);
    this.#toggles = new Toggles(run.network.layers, {
      label: `Layers that ${semantic.name} moves`,
      shortcuts: shortcuts(semantic, this.#layers),
      changed: (layers) => history.keep(withLayers(history.current, semantic, layers)),
    });
    this.#toggles.root.id = `${id}-layers`;
    this.#toggles.root.hidden = true;
    this.root = element(
      "div",
      { class: "semantic", "data-semantic": semantic.name, "data-named": semantic.name },
      element("label", { class: "name", for: id, text: semantic.name, title: semantic.name }),
      this.#button, this.#value, this.#slider, this.#toggles.root,
    );
  }

  show(state) {
    const { semantic } = this;
    const move = state.moves[semantic.name];
    if (move === this.#move && Number(this.#slider.value) === stepOf(state, semantic.name)) return;
    this.#move = move;
    const value = stepOf(state, semantic.name);
    const layers = layersOf(state, semantic);
    const [low, high] = semantic.range;
    if (Number(this.#slider.value) !== value) this.#slider.value = value;
    const at = (Number(this.#slider.value) - low) / (high - low);
    const zero = (0 - low) / (high - low);
    this.#slider.style.setProperty("--from", Math.min(at, zero));
    this.#slider.style.setProperty("--to", Math.max(at, zero));
    this.#slider.className = value < 0 ? "down" : "up";
    this.#slider.setAttribute("aria-valuetext", stepText(value));
    say(this.#value, stepText(value));
    this.#value.setAttribute("aria-label", `${semantic.name}: ${stepText(value)}; set to ${stepText(value === 0 ? semantic.step : 0)}`);
    this.root.classList.toggle("still", value === 0);
    const words = layersInWords(layers, this.#layers);
    if (this.#words.textContent === words) return;
    say(this.#words, words);
    this.#button.title = `${words}: switch layers`;
    this.#bars.forEach((bar, layer) => bar.classList.toggle("on", layers.includes(layer)));
    this.#toggles.show(layers);
  }

  #moved() {
    return withStep(this.#history.current, this.semantic, Number(this.#slider.value));
  }

  #set(step) {
    this.#history.keep(withStep(this.#history.current, this.semantic, step));
  }

  #pressed(event) {
    if (event.key !== "Delete" && event.key !== "Backspace") return;
    event.preventDefault();
    this.#set(0);
  }

  #open() {
    const open = this.#toggles.root.hidden;
    this.#toggles.root.hidden = !open;
    this.#button.setAttribute("aria-expanded", open);
  }
}

const PRESETS = { verified: "verified", boundary: "recommended", all: "all" };

function shortcuts(semantic, count) {
  const all = Array.from({ length: count }, (_, layer) => layer);
  const own = [PRESETS[semantic.layers_from] ?? "own", semantic.layers];
  return [...(semantic.layers.length < count ? [own] : []), ["all", all], ["none", []]];
}

// A round distance between positions, so that steps print short.
function position(distance) {
  const size = 10 ** Math.floor(Math.log10(distance));
  return Number([1, 2, 5, 10].map((part) => part * size).find((one) => one >= distance * 0.999).toPrecision(1));
}
