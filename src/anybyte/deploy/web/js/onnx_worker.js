// Runs the ONNX model off the page's own thread. Its runtime lies beside the page: nothing is fetched from elsewhere.

import * as ort from "../runtime/ort.wasm.min.mjs";

ort.env.logLevel = "error";
ort.env.wasm.wasmPaths = new URL("../runtime/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more would need headers that few static servers send

let session = null;
let last = Promise.resolve();

// A session computes one thing at a time.
self.onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};

async function answer(data) {
  try {
    const value = data.open ? await open(data.open) : await run(data.tokens, data.length);
    self.postMessage({ number: data.number, value });
  } catch (error) {
    self.postMessage({ number: data.number, error: String(error?.message ?? error) });
  }
}

async function open(url) {
  session = await ort.InferenceSession.create(url, { executionProviders: ["wasm"] });
  return true;
}

/** Logits, float32 [files * classes], of files of one length, int32 [files * length]. */
async function run(tokens, length) {
  const files = tokens.length / length;
  const found = await session.run({
    tokens: new ort.Tensor("int32", tokens, [files, length]),
    lengths: new ort.Tensor("int32", new Int32Array(files).fill(length), [files]),
  });
  return found.logits.data;
}
