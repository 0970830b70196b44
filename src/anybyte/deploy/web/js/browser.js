// The model in this browser: no file leaves the machine. It computes in a worker, so that the page stays alive.

import { fromHex, isSealed, Permutation, short, unseal } from "./permutation.js";

const STRETCHES = 32; // of a file, about
const LEAST = 16; // bytes of a stretch
const COPIES_BYTES = 2 ** 18;

export class Browser {
  where = "browser";
  #worker = null;
  #waiting = new Map();
  #number = 0;

  /** @param {object} settings page.json, written with the page by `anybyte export --page` */
  constructor(settings) {
    this.settings = settings;
    this.fixed = settings.permutation ? new Permutation(fromHex(settings.permutation)) : null;
  }

  async needsToken() {
    return false;
  }

  async open() {
    const about = await (await fetch(this.settings.about)).json();
    this.labels = about.labels;
    this.several = about.several;
    this.#worker = new Worker(new URL("./onnx_worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => this.#fail(event.message || "the model's worker cannot be started");
    await this.#call({ open: new URL(this.settings.model, document.baseURI).href });
    return {
      name: this.settings.name,
      models: [this.settings.name],
      labels: about.labels,
      several: about.several,
      reading: {
        key: this.settings.key,
        digest: this.settings.digest,
        permutes_only: true,
        about: this.settings.reading,
      },
      explain: { methods: ["occlusion"], default: "occlusion" },
      limits: {
        max_bytes: Math.min(about.max_length ?? Infinity, this.settings.max_bytes),
        explain_bytes: this.settings.explain_bytes,
      },
      card: this.settings.card,
    };
  }

  async classify(data) {
    const payload = this.#read(data);
    const [logits] = await this.#logits(payload.length, Int32Array.from(payload));
    const scores = this.several ? logits.map(sigmoid) : softmax(logits);
    const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
    const top = order.slice(0, 10).map((index) => ({ label: this.labels[index], score: scores[index] }));
    return { label: top[0].label, score: top[0].score, unknown: false, top };
  }

  /**
   * Scores by occlusion: what the logit loses when a stretch of bytes is read as padding. Stretches overlap by half,
   * and a byte has the mean of those that hold it. explain/occlusion.py does the same, usually with shorter ones.
   */
  async explain(data, { label, signal, onProgress, size = 0 } = {}) {
    const payload = this.#read(data);
    const length = payload.length;
    size ||= Math.max(LEAST, Math.ceil(length / STRETCHES));
    const step = Math.max(1, Math.floor(size / 2));
    const starts = [];
    for (let start = 0; start < Math.max(1, length - size + step); start += step) starts.push(start);
    const index = this.labels.indexOf(label);
    const whole = (await this.#logits(length, Int32Array.from(payload)))[0][index];
    const total = new Float64Array(length),
      times = new Float64Array(length);
    const copies = Math.max(1, Math.min(16, Math.floor(COPIES_BYTES / length)));
    for (let first = 0; first < starts.length; first += copies) {
      signal?.throwIfAborted();
      onProgress?.(first / starts.length);
      const batch = starts.slice(first, first + copies);
      const tokens = new Int32Array(batch.length * length);
      batch.forEach((start, row) => {
        tokens.set(payload, row * length);
        tokens.fill(this.settings.padding, row * length + start, row * length + Math.min(start + size, length));
      });
      const rows = await this.#logits(length, tokens);
      batch.forEach((start, row) => {
        const end = Math.min(start + size, length);
        const score = (whole - rows[row][index]) / (end - start);
        for (let i = start; i < end; i++) {
          total[i] += score;
          times[i] += 1;
        }
      });
    }
    const scores = Float32Array.from(total, (sum, i) => sum / times[i]);
    return {
      label,
      method: "occlusion",
      completenessError: null,
      altered: false,
      scores,
      overlay: null,
      size,
      count: starts.length,
    };
  }

  /** The bytes that the model reads of a file; the errors are those of reading/bytes.py. */
  #read(data) {
    if (!data.length) throw new Error("The file is empty: there is nothing to classify.");
    const { key, digest } = this.settings;
    if (!isSealed(data)) {
      if (key) throw new Error(`This model reads bytes that were permuted with the key ${short(key)}.`);
      return this.fixed ? this.fixed.apply(data) : data;
    }
    const sealed = unseal(data);
    if (!key)
      throw new Error(
        `The file is sealed with the key ${short(sealed.fingerprint)}, but this model reads plain files.`,
      );
    if (sealed.fingerprint !== key)
      throw new Error(
        `The file is sealed with the key ${short(sealed.fingerprint)}, but this model is for ${short(key)}.`,
      );
    if (sealed.digest !== digest)
      throw new Error("The file is sealed with the right key, but was not read as this model reads files.");
    return sealed.payload;
  }

  async #logits(length, tokens) {
    const flat = await this.#call({ tokens, length });
    const classes = this.labels.length;
    return Array.from({ length: flat.length / classes }, (_, row) =>
      Array.from(flat.subarray(row * classes, (row + 1) * classes)),
    );
  }

  #call(message) {
    const number = this.#number++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage({ ...message, number }, message.tokens ? [message.tokens.buffer] : []);
    });
  }

  #receive({ number, value, error }) {
    const { resolve, reject } = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (error) reject(new Error(error));
    else resolve(value);
  }

  #fail(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
  }
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const parts = logits.map((logit) => Math.exp(logit - highest));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}

function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}
