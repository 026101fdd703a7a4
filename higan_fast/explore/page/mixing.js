// Style mixing: which layers' codes come from which other sample.

import { element, say } from "./dom.js";
import { layers as layerText, layersInWords } from "./format.js";
import { mixedFrom, withMix, withSample } from "./state.js";
import { Toggles, groupsOf } from "./toggles.js";

export class Mixing {
  #run;
  #history;
  #groups;
  #brings; // the layers that a drop brings
  #parts = element("ul", { class: "parts" });
  #hint;
  #shown = new Map(); // sample → {root, toggles}
  #announce;

  /** @param {(text: string) => void} announce: says what happened to a screen reader. */
  constructor(root, run, history, announce) {
    this.#run = run;
    this.#history = history;
    this.#announce = announce;
    this.#groups = groupsOf(run);
    this.#brings = this.#groups[0][1];
    this.#hint = element(
      "p",
      { class: "note" },
      element("span", { class: "mouse", text: "Drop a sample on the picture, press m on it, or let clicks mix in: these layers take its codes." }),
      element("span", { class: "touch", text: "Choose “mixes it in” above, then tap a sample: these layers take its codes." }),
    );
    root.append(this.#choice(), this.#hint, this.#parts);
    history.follow((state) => this.#show(state));
  }

  /** Mixes the chosen layers of a sample into another, which is shown. */
  mixIn(sample, target) {
    if (sample === target) {
      this.#announce(`Sample ${sample} is the one that is shown: drop another.`);
      return;
    }
    const state = withSample(this.#history.current, target);
    this.#history.keep(withMix(state, sample, [...mixedFrom(state, sample), ...this.#brings]));
    this.#announce(`${layersInWords(this.#brings, this.#run.network.layers.length)} of sample ${sample} mixed in`);
  }

  #choice() {
    const options = this.#groups.map(([name, layers], index) =>
      element("label", { title: layersInWords(layers, this.#run.network.layers.length) }, element("input", { type: "radio", name: "brings", checked: index === 0, onchange: () => { this.#brings = layers; } }), name, name === "all" ? null : element("small", { text: layerText(layers) })),
    );
    return element("fieldset", { class: "choice" }, element("legend", { text: "Mixing brings" }), ...options);
  }

  #show({ mix }) {
    this.#hint.hidden = mix.length > 0;
    for (const [sample, { root }] of this.#shown) {
      if (mix.some((part) => part.sample === sample)) continue;
      const held = root.contains(document.activeElement);
      root.remove();
      this.#shown.delete(sample);
      if (held) document.querySelector(".thumb[tabindex='0']")?.focus();
    }
    for (const { sample, layers } of mix) {
      if (!this.#shown.has(sample)) this.#add(sample);
      const { toggles, words } = this.#shown.get(sample);
      toggles.show(layers);
      say(words, layersInWords(layers, this.#run.network.layers.length));
    }
  }

  #add(sample) {
    const change = (layers) => this.#history.keep(withMix(this.#history.current, sample, layers));
    const toggles = new Toggles(this.#run.network.layers, { label: `Layers from sample ${sample}`, shortcuts: [], changed: change });
    const words = element("small");
    const root = element(
      "li",
      { "data-mixed": sample },
      element("img", { src: `api/thumb/${sample}.jpg`, alt: "", width: 40, height: 40 }),
      element("span", { class: "from" }, `from ${this.#run.samples.names?.[sample] ?? sample}`, words),
      toggles.root,
      element("button", { type: "button", class: "plain", "aria-label": `Take sample ${sample} out`, text: "✕", onclick: () => change([]) }),
    );
    this.#shown.set(sample, { root, toggles, words });
    this.#parts.append(root);
  }
}
