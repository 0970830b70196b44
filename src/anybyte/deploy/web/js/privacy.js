// The switch that permutes bytes before they leave, and the key it takes.

import { find } from "./dom.js";
import { bytesOf } from "./inputs.js";
import { isSealed, readKey, seal, short } from "./permutation.js";

export class Privacy {
  key = null;
  reading = {};

  constructor() {
    this.box = find("permute");
    this.box.addEventListener("change", () => this.#show());
    find("key").addEventListener("change", (event) => this.#load(event.target.files[0]));
  }

  /** Fits the switch to a model. @param {{reading: object}} model @param {string} where "server" or "browser" */
  fit(model, where) {
    this.reading = model.reading;
    this.name = model.name;
    const { key, permutes_only: permutesOnly } = model.reading;
    this.box.disabled = !key || !permutesOnly;
    this.box.checked = Boolean(key && permutesOnly);
    if (where === "browser") find("permute-label").textContent = "Permute the bytes before the model reads them";
    find("permute-hint").textContent = !key
      ? "This model reads plain files. One that reads permuted bytes is made by: anybyte privacy rekey"
      : permutesOnly
        ? `This model reads bytes that were permuted with the key ${short(key)}. The key stays in this browser.`
        : "This model reads permuted bytes of files that are first written in another format. " +
          "Only Python can do that: anybyte.Client(url, key=...)";
    this.#show();
  }

  /**
   * What leaves, and what of it the model reads.
   * @param {Uint8Array} data the file @returns {{sent: Uint8Array, read: Uint8Array, isPermuted: boolean}}
   */
  apply(data) {
    const { key, digest } = this.reading;
    if (!key || isSealed(data)) return { sent: data, read: data, isPermuted: false };
    // A plain file is never sent to a model that could not read it.
    if (!this.box.checked)
      throw new Error("This model reads permuted bytes only: turn the switch on, or give it a sealed file.");
    if (!this.key)
      throw new Error(`Choose the key file first: this model reads bytes permuted with the key ${short(key)}.`);
    if (this.key.fingerprint !== key)
      throw new Error(`The key is ${short(this.key.fingerprint)}, and the model is for another: ${short(key)}.`);
    const read = this.key.apply(data);
    return { sent: seal(read, key, digest), read, isPermuted: true };
  }

  async #load(file) {
    if (!file) return;
    const state = find("key-state");
    this.key = null;
    try {
      this.key = readKey(new TextDecoder().decode(await bytesOf(file)), file.name);
      const fits = this.key.fingerprint === this.reading.key;
      state.textContent = fits
        ? `Key ${short(this.key.fingerprint)} is loaded.`
        : `The key is ${short(this.key.fingerprint)}, and the model is for another: ${short(this.reading.key)}.`;
    } catch (error) {
      state.textContent = error.message;
    }
    find("key").value = "";
  }

  #show() {
    find("key-line").hidden = !this.box.checked;
  }
}
