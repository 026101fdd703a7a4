// What the predictor says of the picture, live: base, now, and what the verified effect makes one expect.

import { element, say } from "./dom.js";
import { interval, plain, signed } from "./format.js";
import { arePreset } from "./state.js";

const MARGIN = 0.15; // of the typical range, on either side of it in a lane

/** Returns the change of each score against its base, in standard deviations over the run's samples. */
export function changes(answer, run) {
  if (!answer.scores || !answer.base) return null;
  return new Map(run.scores.map(({ name, deviation }) => [name, deviation > 0 ? (answer.scores[name] - answer.base[name]) / deviation : NaN]));
}

export class Scores {
  #rows;
  #run;

  constructor(table, run) {
    this.#run = run;
    this.#rows = run.scores.map((score) => new Row(score, run));
    table.append(...this.#rows.flatMap((row) => row.nodes));
  }

  /** Shows none: what was there is of another picture. */
  forget() {
    for (const row of this.#rows) row.forget();
  }

  /** Shows an answer's scores; `moves` are the semantics that are moved in it. */
  show(answer, moves) {
    const changed = changes(answer, this.#run);
    for (const row of this.#rows) {
      const { name } = row.score;
      const move = moves.find(({ semantic }) => semantic.name === name);
      row.show(answer.base?.[name], answer.scores?.[name], changed?.get(name), answer.expected?.[name] ?? null, move, moves.length);
    }
  }
}

class Row {
  #lane;
  #parts; // of the lane, by name
  #placed = new Map(); // where they are
  #base = element("td", { class: "number" });
  #now = element("td", { class: "number now" });
  #change = element("td", { class: "number" });
  #words = element("td", { colspan: 5, class: "words" });
  #line;
  #confidence;
  #dosed; // whether steps were measured one by one
  #layers; // how many there are

  constructor(score, run) {
    this.score = score;
    this.#confidence = run.confidence ?? {};
    this.#dosed = Boolean(this.#confidence.dose);
    this.#layers = run.network.layers.length;
    this.#parts = new Map(["typical", "expected", "base", "now"].map((part) => [part, element("i", { class: part })]));
    this.#lane = element("span", { class: `lane ${score.level ?? ""}`, "aria-hidden": "true" }, ...this.#parts.values());
    this.#line = element("tr", { class: "expectation", "data-named": score.name, hidden: true }, this.#words);
    const name = element("th", { scope: "row", title: score.name }, element("i", { class: `dot ${score.level ?? ""}`, "aria-hidden": "true" }), score.name);
    this.nodes = [element("tr", { "data-score": score.name, "data-named": score.name }, name, element("td", {}, this.#lane), this.#base, this.#now, this.#change), this.#line];
    this.#place("typical", score.low, score.high);
  }

  /** `move` is that of the score's own semantic, undefined where it is not moved; `moves` is how many are moved. */
  show(base, now, change, expected, move, moves) {
    const known = base !== undefined && now !== undefined;
    this.#lane.classList.toggle("unknown", !known);
    if (!known) return; // not scored while it moves: the last figures stay, pale
    this.#lane.classList.add("scored");
    this.#place("base", base, base);
    this.#place("now", now, now);
    say(this.#base, plain(base));
    say(this.#now, plain(now));
    say(this.#change, Number.isFinite(change) ? signed(change) : "–");
    this.#change.className = `number ${Math.abs(change) >= 0.05 ? (change > 0 ? "up" : "down") : "flat"}`;
    this.#lane.classList.toggle("expects", expected !== null);
    if (expected) this.#place("expected", base + (expected.low ?? expected.mean), base + (expected.high ?? expected.mean));
    this.#line.hidden = move === undefined;
    if (move) say(this.#words, this.#sentence(change, expected, move, moves));
  }

  forget() {
    this.#lane.classList.remove("scored", "expects");
    for (const cell of [this.#base, this.#now, this.#change]) say(cell, "–");
    this.#change.className = "number flat";
    this.#line.hidden = true;
  }

  #sentence(change, expected, move, moves) {
    const here = `here ${signed(change)}`;
    if (!expected) return `No expectation: ${this.#unmeasured(move)}; ${here} SD`;
    const inDeviations = (value) => (value === null ? null : value / this.score.deviation);
    const of = moves > 1 ? " of this move alone" : "";
    const at = !expected.interpolated ? "at this step" : expected.from === "dose" ? "between the steps measured" : "in proportion to the step measured";
    this.#words.title = this.#origin(expected);
    return `Expected${of} ${signed(inDeviations(expected.mean))} SD ${interval(inDeviations(expected.low), inDeviations(expected.high))} over samples ${at}; ${here}`;
  }

  // `dose` measures all layers, and those that were verified, at many steps.
  #unmeasured({ semantic, layers }) {
    const verified = semantic.layers_from === "verified" && arePreset(semantic, layers);
    if (!this.#dosed && (verified || layers.length === this.#layers)) return "not measured at this step on these layers together: run higan-fast dose";
    return "not measured at this step on just these layers";
  }

  #origin({ from }) {
    const confidence = this.#confidence[from];
    const level = confidence ? `${Math.round(1000 * confidence) / 10} % interval` : "interval";
    return `A mean over samples with its ${level}, measured by higan-fast ${from}. It is no promise for this one.`;
  }

  #place(part, from, to) {
    const where = `${from} ${to}`;
    if (this.#placed.get(part) === where) return;
    this.#placed.set(part, where);
    const { low, high } = this.score;
    const width = (high - low) * (1 + 2 * MARGIN) || 1;
    const at = (value) => Math.min(1, Math.max(0, (value - low) / width + MARGIN / (1 + 2 * MARGIN)));
    const { style } = this.#parts.get(part);
    style.setProperty("--from", at(from));
    style.setProperty("--to", at(to));
  }
}
