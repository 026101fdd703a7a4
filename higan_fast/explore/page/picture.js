// One view on a canvas, at a whole number of device pixels to each of the image's where pixels are to be seen.

const SMALL = 128; // pixels a side: larger images are drawn smoothly unless asked otherwise

export class Picture {
  #canvas;
  #context;
  #room; // in which the picture and what is said of it have to fit
  #words;
  #bitmap = null;
  #smooth;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {[number, number]} size: height and width of the network's images.
   */
  constructor(canvas, [height, width]) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#room = canvas.closest("figure");
    this.#words = this.#room.querySelector("figcaption");
    this.size = { width, height };
    this.#smooth = Math.max(width, height) > SMALL;
    new ResizeObserver(() => this.#fit()).observe(this.#room);
    this.#fit();
  }

  get smooth() {
    return this.#smooth;
  }

  set smooth(smooth) {
    this.#smooth = smooth;
    this.#fit();
  }

  /** Decodes an answer's picture and paints it, unless a newer one was painted meanwhile. */
  async paint(answer, blob) {
    const bitmap = await createImageBitmap(blob);
    if (answer.id < Number(this.#canvas.dataset.id ?? 0)) {
      bitmap.close();
      return;
    }
    this.#bitmap?.close();
    this.#bitmap = bitmap;
    this.#draw();
    this.#canvas.dataset.id = answer.id;
    this.#canvas.dataset.format = answer.format;
    this.#canvas.dispatchEvent(new CustomEvent("painted", { bubbles: true, detail: { id: answer.id, view: answer.view, format: answer.format, milliseconds: answer.milliseconds } }));
  }

  #fit() {
    const { width, height } = this.size;
    const density = devicePixelRatio || 1;
    const below = this.#words.offsetHeight + parseFloat(getComputedStyle(this.#room).rowGap || 0);
    const room = density * Math.min(this.#room.clientWidth / width, (this.#room.clientHeight - below) / height);
    if (!(room > 0)) return;
    const scale = this.#smooth || room < 1 ? room : Math.floor(room);
    const size = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== size[0] || this.#canvas.height !== size[1]) [this.#canvas.width, this.#canvas.height] = size;
    this.#canvas.style.width = `${size[0] / density}px`;
    this.#canvas.style.height = `${size[1] / density}px`;
    this.#draw();
  }

  #draw() {
    if (this.#bitmap === null) return;
    this.#context.imageSmoothingEnabled = this.#smooth || this.#canvas.width < this.#bitmap.width;
    this.#context.imageSmoothingQuality = "high";
    this.#context.drawImage(this.#bitmap, 0, 0, this.#canvas.width, this.#canvas.height);
  }
}
