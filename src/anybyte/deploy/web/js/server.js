// The server's answers. Addresses are relative, so that the page may stand behind a prefix.

export class Server {
  where = "server";
  token = "";
  name = "";

  /** Whether the server wants a token. */
  async needsToken() {
    return Boolean((await this.#ask("healthz")).token);
  }

  /** What the model is; see GET /v1/model. */
  async open(name = "") {
    const model = await this.#ask("v1/model", name ? { model: name } : {});
    this.name = model.name;
    // A permutation that a seed draws is no secret: the server permutes. Only that of a key is ours to do.
    if (!model.reading.settings?.privacy?.fingerprint) model.reading.key = null;
    return model;
  }

  /** @param {Uint8Array} data @returns {Promise<{label: string, score: number, unknown: boolean, top: object[]}>} */
  async classify(data, { signal } = {}) {
    const answer = await this.#ask("v1/classify", { model: this.name, top: 10 }, data, signal);
    return answer.results[0];
  }

  /** @returns {Promise<{label, scores: Float32Array, method, completenessError, overlay: {kind, url} | null}>} */
  async explain(data, { method, label, wantsOverlay, signal } = {}) {
    const query = { model: this.name, scores: "int8", overlay: Boolean(wantsOverlay) };
    if (method) query.method = method;
    if (label) query.label = label;
    const answer = await this.#ask("v1/explain", query, data, signal);
    return {
      label: answer.label,
      method: answer.method,
      completenessError: answer.completeness_error,
      altered: answer.altered,
      scores: readScores(answer.scores),
      overlay: answer.overlay && { kind: answer.overlay.kind, url: `data:image/png;base64,${answer.overlay.png}` },
    };
  }

  async #ask(path, query = {}, body = undefined, signal = undefined) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body) headers["Content-Type"] = "application/octet-stream";
    const search = new URLSearchParams(query).toString();
    let response;
    try {
      response = await fetch(search ? `${path}?${search}` : path, {
        method: body ? "POST" : "GET",
        headers,
        body,
        signal,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server cannot be reached.");
    }
    const answer = await response.json().catch(() => null);
    if (!response.ok)
      throw Object.assign(new Error(answer?.error?.message ?? `The server answers ${response.status}.`), {
        status: response.status,
      });
    if (answer === null) throw new Error("The server's answer is no JSON.");
    return answer;
  }
}

/** float32 scores from base64 of int8 (times a scale) or of little-endian float32. */
function readScores({ encoding, scale, data }) {
  const raw = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  if (encoding === "int8") return Float32Array.from(new Int8Array(raw.buffer), (value) => value * scale);
  const view = new DataView(raw.buffer);
  return Float32Array.from({ length: raw.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
