// The two pictures: the moves on their own layers, and the same on all layers. Asks for them, and says what they show.

import { element, say } from "./dom.js";
import { signed } from "./format.js";
import { Picture } from "./picture.js";
import { changes } from "./scores.js";
import { active, arePreset, toSend, unmoved } from "./state.js";

const NAMED = 2; // moved semantics whose change stands beneath a picture
const REST = 150; // ms without a change until the exact picture is asked for

export class Views {
  #run;
  #history;
  #connection = null;
  #views;
  #held = false; // whether the sample is shown as it is, while a key or a finger is down
  #timer = null;
  #scored;

  /** @param {(answer: object, moves: object[], atRest: boolean) => void} scored: called with the answers that have scores. */
  constructor(figures, run, history, scored) {
    this.#run = run;
    this.#history = history;
    this.#scored = scored;
    this.#views = figures.map((figure, index) => new View(figure, run, index === 0 ? "a" : "b", index === 1));
    this.#views.forEach(({ canvas }) => this.#holds(canvas));
    history.follow((state, moving) => this.#changed(state, moving));
  }

  set connection(connection) {
    this.#connection = connection;
    this.#ask(false);
  }

  get smooth() {
    return this.#views[0].picture.smooth;
  }

  set smooth(smooth) {
    for (const { picture } of this.#views) picture.smooth = smooth;
  }

  /** Shows the sample as it is, or its moves again. */
  hold(held) {
    if (held === this.#held) return;
    this.#held = held;
    this.#ask(false);
  }

  /** Takes an answer of the server, with what was asked for. */
  async take(answer, blob, asked) {
    const { moves, held } = asked;
    const shown = this.#views.filter((view) => answer.id > view.latest && (view.name === answer.view || (view.sharing && asked === view.asked)));
    for (const view of shown) {
      view.latest = answer.id;
      view.caption(answer, moves, held);
    }
    if (answer.view === "a" && !held) this.#scored(answer, moves, answer.format === "png");
    for (const view of shown) {
      await view.picture.paint(answer, blob);
      if (asked === view.asked && answer.format === "png") view.figure.setAttribute("aria-busy", "false");
    }
  }

  /** Leaves no picture standing as the answer to what was refused. Returns whether the scores were of that picture. */
  refuse(answer, asked) {
    const refused = this.#views.filter((view) => asked === view.asked && (view.name === answer.view || view.sharing));
    for (const view of refused) view.refuse();
    return refused.length > 0 && answer.view === "a";
  }

  #changed(state, moving) {
    this.#views[1].figure.hidden = !state.beside;
    this.#ask(moving);
  }

  #ask(moving) {
    clearTimeout(this.#timer);
    if (moving) this.#timer = setTimeout(() => this.#ask(false), REST);
    if (this.#connection === null) return;
    const state = this.#held ? unmoved(this.#history.current) : this.#history.current;
    const asked = { moves: active(state, this.#run), held: this.#held };
    for (const view of this.#views) {
      view.sharing = view.allLayers && asked.moves.length === 0;
      if (view.sharing || (view.allLayers && !state.beside)) this.#connection.forget(view.name);
      if (view.allLayers && !state.beside) continue;
      view.asked = asked;
      view.figure.setAttribute("aria-busy", "true");
      if (view.sharing) continue;
      this.#connection.ask(view.name, toSend(state, this.#run, view.allLayers), moving, asked);
    }
  }

  #holds(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.hold(true);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(end, () => this.hold(false));
  }
}

class View {
  #title;
  #own; // what was moved
  #others; // what went with it
  #run;

  constructor(figure, run, name, allLayers) {
    this.figure = figure;
    this.name = name;
    this.allLayers = allLayers;
    this.asked = null; // what was asked for last
    this.latest = 0; // the answer that it shows
    this.sharing = false; // whether nothing moves, so that the other view's picture is this one's too
    this.#run = run;
    this.canvas = figure.querySelector("canvas");
    this.picture = new Picture(this.canvas, run.network.image.slice(1));
    this.#title = element("b", { text: allLayers ? "All layers" : "Own layers" });
    this.#own = element("span");
    this.#others = element("p");
    figure.querySelector("figcaption").append(element("p", {}, this.#title, this.#own), this.#others);
  }

  caption(answer, moves, held) {
    if (!this.allLayers) say(this.#title, moves.every(({ semantic, layers }) => arePreset(semantic, layers)) ? "Own layers" : "Chosen layers");
    const changed = changes(answer, this.#run);
    if (held) this.#say("as it is");
    else if (moves.length === 0) this.#say("not moved");
    else if (changed) this.#summary(changed, moves);
    if (answer.format === "png") this.canvas.setAttribute("aria-label", this.#described(moves, held));
    this.figure.classList.remove("refused");
  }

  // The picture that was there before is of something else.
  refuse() {
    this.figure.classList.add("refused");
    this.figure.setAttribute("aria-busy", "false");
    this.canvas.setAttribute("aria-label", "Not drawn");
    this.#say("not drawn");
  }

  // What was moved, and how far the rest went with it: the fewer layers, the less, as a rule.
  #summary(changed, moves) {
    const named = new Set(moves.map(({ semantic }) => semantic.name));
    const others = [...changed].filter(([name, change]) => !named.has(name) && Number.isFinite(change)).map(([, change]) => change);
    const mean = Math.sqrt(others.reduce((sum, change) => sum + change * change, 0) / (others.length || 1));
    const own = [...changed].filter(([name]) => named.has(name)).map(([name, change]) => `${name} ${signed(change)}`);
    const more = own.length > NAMED ? ["…"] : [];
    const rest = others.length === 0 ? "" : `other scores by ${mean.toFixed(2)} SD`;
    this.#say(`${[...own.slice(0, NAMED), ...more].join(", ")} SD`, rest);
  }

  #say(own, others = "") {
    say(this.#own, own);
    say(this.#others, others);
    this.#own.title = `${own}: against the sample without its moves`;
    this.#others.title = others && `All ${others} together: the root mean square of their changes, each in its own SD`;
  }

  #described(moves, held) {
    const what = moves.map(({ semantic, step }) => `${semantic.name} ${signed(step, 1)}`).join(", ");
    return `${held || moves.length === 0 ? "The sample as it is" : `The sample with ${what}`}${this.allLayers ? ", on all layers" : ""}`;
  }
}
