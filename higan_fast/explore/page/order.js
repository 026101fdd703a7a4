// The order of the samples in the strip: their numbers, or one of their scores.

/** Samples as they are numbered. */
export class ByNumber {
  sampleAt = (position) => position;
  positionOf = (sample) => sample;
  scoreOf = () => null;
}

/** Samples by a score, which the server has sorted. */
export class ByScore {
  #samples; // from the lowest score to the highest
  #scores;
  #positions; // of each sample among them
  #highest;

  constructor(samples, scores, highest) {
    this.#samples = samples;
    this.#scores = scores;
    this.#highest = highest;
    this.#positions = new Uint32Array(samples.length);
    samples.forEach((sample, position) => { this.#positions[sample] = position; });
  }

  sampleAt(position) {
    return this.#samples[this.#turned(position)];
  }

  positionOf(sample) {
    return this.#turned(this.#positions[sample]);
  }

  scoreOf(sample) {
    return this.#scores[this.#positions[sample]];
  }

  #turned(position) {
    return this.#highest ? this.#samples.length - 1 - position : position;
  }
}

/**
 * Returns the order of a state, `{score, highest}` or null.
 * Throws an Error where the server does not send it.
 */
export async function load(order, run) {
  if (order === null) return new ByNumber();
  const { num } = run.samples;
  const response = await fetch(`api/order/${run.scores.findIndex(({ name }) => name === order.score)}`);
  if (!response.ok) throw new Error((await response.json()).error);
  const content = await response.arrayBuffer();
  return new ByScore(new Uint32Array(content, 0, num), new Float32Array(content, 4 * num, num), order.highest);
}
