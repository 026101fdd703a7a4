// Layers that can be switched one by one: of a semantic that moves, and of a sample that is mixed in.

import { element } from "./dom.js";
import { layersInWords } from "./format.js";

/**
 * Returns a group of buttons, one for each layer, and shortcuts to some of them.
 * @param {object[]} layers: of the network, with index, name, pixels and group.
 * @param {object} options
 *   label: what the group is for a screen reader
 *   shortcuts: [[text, layers], …]
 *   changed(layers): called with the layers that are to be on
 */
export class Toggles {
  #buttons;
  #shortcuts;
  #on = [];

  constructor(layers, { label, shortcuts, changed }) {
    this.#buttons = layers.map((layer) => element("button", { type: "button", class: "toggle", text: layer.index, title: words(layer), "aria-label": words(layer), onclick: () => changed(this.#without(layer.index)) }));
    this.#shortcuts = shortcuts.map(([text, chosen]) => ({
      chosen,
      button: element("button", { type: "button", class: "plain", text, title: layersInWords(chosen, layers.length), onclick: () => changed(chosen) }),
    }));
    this.root = element(
      "div",
      { class: "toggles", role: "group", "aria-label": label },
      element("div", { class: "squares" }, ...this.#buttons),
      element("div", { class: "shortcuts" }, ...this.#shortcuts.map(({ button }) => button)),
    );
  }

  show(on) {
    this.#on = on;
    this.#buttons.forEach((button, layer) => button.setAttribute("aria-pressed", on.includes(layer)));
    for (const { chosen, button } of this.#shortcuts) button.disabled = chosen.length === on.length && chosen.every((layer) => on.includes(layer));
  }

  #without(layer) {
    return this.#on.includes(layer) ? this.#on.filter((other) => other !== layer) : [...this.#on, layer];
  }
}

/** Returns what a layer is called: "Layer 3, 16², upper". */
export function words({ index, pixels, group }) {
  return [`Layer ${index}`, pixels, group].filter(Boolean).join(", ");
}

/** Returns the groups of a network's layers, "all" last: [["bottom", [0]], …]. */
export function groupsOf(run) {
  const groups = new Map();
  for (const { index, group } of run.network.layers) {
    if (group) groups.set(group, [...(groups.get(group) ?? []), index]);
  }
  return [...groups, ["all", run.network.layers.map(({ index }) => index)]];
}
