// The strip of samples. One is shown; any other can be mixed in by a drop, a click or the key m.

import { element, focusOne, say, walkable } from "./dom.js";
import { grouped, plain } from "./format.js";
import { ByNumber, load } from "./order.js";
import { mixedFrom, same, withSample } from "./state.js";

const PAGE = 24; // samples in the strip at a time
const MARGIN = 8; // pixels of the strip that stay in sight beside the sample that is shown
const TYPE = "application/x-higan-sample";

export class Samples {
  #run;
  #history;
  #mixIn;
  #list = element("div", { class: "thumbs", role: "group", "aria-label": "Samples" });
  #number;
  #back;
  #on;
  #by; // what they are sorted by
  #turnedBy; // whether the highest or the lowest comes first
  #order = new ByNumber();
  #thumbs = [];
  #first = null; // the position in the order at which the strip begins
  #mixes = false; // whether a click mixes in
  #seen = { order: null }; // what the strip shows
  #announce;

  /**
   * @param {(sample: number, target: number) => void} mixIn: mixes layers of a sample into another.
   * @param {(text: string) => void} announce: says what happened.
   */
  constructor(root, run, history, mixIn, announce) {
    this.#run = run;
    this.#history = history;
    this.#mixIn = mixIn;
    this.#announce = announce;
    const { num } = run.samples;
    this.#number = element("input", { type: "number", id: "sample", min: 0, max: num - 1, step: 1, inputmode: "numeric", onchange: () => this.choose(Number(this.#number.value)) });
    this.#back = element("button", { type: "button", class: "turn", "aria-label": "Samples before", text: "‹", onclick: () => this.#turn(this.#first - PAGE) });
    this.#on = element("button", { type: "button", class: "turn", "aria-label": "Samples after", text: "›", onclick: () => this.#turn(this.#first + PAGE) });
    root.append(
      element(
        "div",
        { class: "strip-head" },
        element("span", { class: "of" }, element("label", { for: "sample", text: run.samples.kind === "codes" ? "Code" : "Sample" }), this.#number, `of ${grouped(num)}`),
        run.samples.kind === "codes" ? null : this.#sorting(),
        this.#clicks(),
      ),
      element("div", { class: "strip" }, this.#back, this.#list, this.#on),
    );
    walkable(this.#list, () => this.#thumbs, () => this.#columns());
    this.#list.addEventListener("keydown", (event) => this.#pressed(event));
    history.follow((state) => this.#show(state));
  }

  /** Shows another sample; one that does not exist changes nothing. */
  choose(sample) {
    const last = this.#run.samples.num - 1;
    if (Number.isInteger(sample) && sample >= 0 && sample <= last) this.#history.keep(withSample(this.#history.current, sample), "sample");
    else this.#number.value = this.#history.current.sample;
  }

  /** Shows the sample so many further on in the strip. */
  step(by) {
    const position = this.#order.positionOf(this.#history.current.sample) + by;
    this.choose(this.#order.sampleAt(Math.min(this.#run.samples.num - 1, Math.max(0, position))));
  }

  /** Shows the n-th sample of the strip. */
  nth(index) {
    if (this.#first + index < this.#run.samples.num) this.choose(this.#order.sampleAt(this.#first + index));
  }

  /** Makes an element take samples that are dropped on it; `target` returns the sample that takes their codes. */
  takesDrops(node, target) {
    let inside = 0;
    const over = (by) => {
      inside = by === 0 ? 0 : inside + by;
      node.classList.toggle("over", inside > 0);
    };
    const carries = (event) => event.dataTransfer.types.includes(TYPE);
    node.addEventListener("dragenter", (event) => carries(event) && over(1));
    node.addEventListener("dragleave", (event) => carries(event) && over(-1));
    node.addEventListener("dragover", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
    });
    node.addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      over(0);
      this.#mixIn(Number(event.dataTransfer.getData(TYPE)), target());
    });
  }

  // How many stand in a row, which the width decides.
  #columns() {
    const top = this.#thumbs[0].offsetTop;
    return this.#thumbs.filter((thumb) => thumb.offsetTop === top).length;
  }

  #clicks() {
    const option = (text, mixes) =>
      element("label", {}, element("input", { type: "radio", name: "clicks", checked: !mixes, onchange: () => { this.#mixes = mixes; this.#list.classList.toggle("mixes", mixes); } }), text);
    return element("fieldset", { class: "choice" }, element("legend", {}, element("span", { class: "mouse", text: "A click" }), element("span", { class: "touch", text: "A tap" })), option("shows it", false), option("mixes it in", true));
  }

  #sorting() {
    const sort = () => this.#history.keep({ ...this.#history.current, order: this.#by.value === "" ? null : { score: this.#by.value, highest: this.#turnedBy.value === "high" } });
    this.#by = element("select", { id: "by", onchange: sort }, element("option", { value: "", text: "number" }), ...this.#run.scores.map(({ name }) => element("option", { value: name, text: name })));
    this.#turnedBy = element("select", { "aria-label": "Which come first", hidden: true, onchange: sort }, element("option", { value: "high", text: "highest first" }), element("option", { value: "low", text: "lowest first" }));
    return element("span", { class: "of" }, element("label", { for: "by", text: "Sorted by" }), this.#by, this.#turnedBy);
  }

  #show({ sample, mix, order }) {
    const seen = this.#seen;
    const shown = sample === seen.sample;
    if (shown && mix === seen.mix && same(order, seen.order)) return; // as while a slider moves
    this.#seen = { sample, mix, order };
    this.#number.value = sample;
    if (!same(order, seen.order)) this.#sort(order, shown);
    else this.#place();
  }

  /** Sorts the strip, and turns it to its beginning or, where another sample came with the order, to that one. */
  async #sort(order, toBeginning) {
    if (this.#by) [this.#by.value, this.#turnedBy.value, this.#turnedBy.hidden] = [order?.score ?? "", order?.highest === false ? "low" : "high", order === null];
    try {
      const loaded = await load(order, this.#run);
      if (!same(order, this.#seen.order)) return; // sorted otherwise meanwhile
      this.#order = loaded;
      this.#first = toBeginning ? 0 : null;
      if (toBeginning) this.#turn(0);
      else this.#place();
      if (order !== null) this.#announce(`Samples by ${order.score}, the ${order.highest ? "highest" : "lowest"} first`);
    } catch (error) {
      this.#announce(`The order of samples did not come: ${error.message}`);
      this.#history.keep({ ...this.#history.current, order: null });
    }
  }

  /** Turns the strip to the sample that is shown. */
  #place() {
    const position = this.#order.positionOf(this.#seen.sample);
    if (this.#first === null || position < this.#first || position >= this.#first + PAGE) this.#turn(Math.floor(position / PAGE) * PAGE);
    this.#mark(this.#seen);
    this.#reveal(this.#thumbs[position - this.#first]);
  }

  // Scrolls the strip alone, and never the page.
  #reveal(thumb) {
    if (!thumb) return;
    const { scrollLeft, clientWidth } = this.#list;
    const [from, to] = [thumb.offsetLeft - MARGIN, thumb.offsetLeft + thumb.offsetWidth + MARGIN];
    if (from < scrollLeft) this.#list.scrollLeft = from;
    else if (to > scrollLeft + clientWidth) this.#list.scrollLeft = to - clientWidth;
  }

  #mark({ sample, mix }) {
    this.#thumbs.forEach((thumb, index) => {
      const at = this.#order.sampleAt(this.#first + index);
      thumb.setAttribute("aria-current", at === sample);
      thumb.classList.toggle("mixed", mixedFrom({ mix }, at).length > 0);
    });
    const shown = this.#order.positionOf(sample) - this.#first;
    if (!this.#list.contains(document.activeElement)) focusOne(this.#thumbs, this.#thumbs[shown] ? shown : 0);
  }

  #turn(first) {
    const { num } = this.#run.samples;
    this.#first = Math.max(0, Math.min(first, Math.floor((num - 1) / PAGE) * PAGE));
    this.#thumbs = Array.from({ length: Math.min(PAGE, num - this.#first) }, (_, index) => this.#thumb(this.#order.sampleAt(this.#first + index)));
    this.#list.replaceChildren(...this.#thumbs);
    this.#back.disabled = this.#first === 0;
    this.#on.disabled = this.#first + PAGE >= num;
    this.#mark(this.#history.current);
  }

  #thumb(sample) {
    const name = this.#run.samples.names?.[sample] ?? `${sample}`;
    const score = this.#order.scoreOf(sample);
    const image = element("img", { src: `api/thumb/${sample}.jpg`, alt: "", width: 64, height: 64, draggable: "false", onerror: () => image.classList.add("missing") });
    const thumb = element(
      "button",
      {
        type: "button", class: "thumb", draggable: "true", "data-sample": sample, title: `Sample ${name}: drag it onto the picture, or onto another sample, to mix it in`, "aria-label": `Sample ${name}`, tabindex: -1,
        onclick: (event) => (this.#mixes !== event.shiftKey ? this.#mixIn(sample, this.#history.current.sample) : this.choose(sample)),
        ondragstart: (event) => {
          event.dataTransfer.setData(TYPE, sample);
          event.dataTransfer.setData("text/plain", `sample ${sample}`);
          event.dataTransfer.effectAllowed = "copy";
        },
      },
      image,
      element("span", { text: name }),
      score === null ? null : element("span", { class: "score", text: plain(score) }),
    );
    this.takesDrops(thumb, () => sample);
    return thumb;
  }

  #pressed(event) {
    if (event.key !== "m" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#mixIn(Number(document.activeElement.dataset.sample), this.#history.current.sample);
  }
}
