// The page: a file comes in, the model answers, and the bytes that decided are shown.

import { describe, hideAnswer, showAnswer } from "./answer.js";
import { Browser } from "./browser.js";
import { fill, find } from "./dom.js";
import { HexView } from "./hexview.js";
import { listen } from "./inputs.js";
import { kindOf } from "./heat.js";
import { showHeat, showPlain, showStretches } from "./media.js";
import { Privacy } from "./privacy.js";
import { Server } from "./server.js";

const privacy = new Privacy();
const hex = new HexView(find("hex"), find("hex-cursor"));
let engine = null;
let model = null;
let current = null; // the file in work: {name, data, sent, read, isPermuted, control}

start().catch(fail);

async function start() {
  const settings = await (await fetch("page.json")).json();
  engine = settings.engine === "browser" ? new Browser(settings) : new Server();
  listen(take, fail);
  find("model").addEventListener("change", (event) => open(event.target.value).catch(fail));
  find("method").addEventListener("change", () => explain());
  find("explained").addEventListener("change", () => explain());
  find("explain").addEventListener("click", () => explain());
  find("access").addEventListener("submit", (event) => {
    event.preventDefault();
    engine.token = find("token").value;
    open().then(() => {
      find("access").hidden = true;
    }, fail);
  });
  if (await engine.needsToken()) {
    find("access").hidden = false;
    find("status").textContent = "This server wants a token first.";
  } else {
    await open();
  }
}

/** Makes a model the one that answers. */
async function open(name = "") {
  say(engine.where === "browser" ? "Loading the model into this browser ..." : "Asking the server for its model ...");
  const found = await engine.open(name);
  forget();
  model = found;
  fill(
    find("model"),
    model.models.map((other) => [other, other]),
  );
  find("model").value = model.name;
  find("model-line").hidden = model.models.length < 2;
  fill(
    find("method"),
    (model.explain?.methods ?? []).map((method) => [method, method.replaceAll("_", " ")]),
  );
  find("method").value = model.explain?.default ?? "";
  find("method-part").hidden = (model.explain?.methods.length ?? 0) < 2;
  const reads = model.reading.about ? ` It reads ${model.reading.about}.` : "";
  const where =
    engine.where === "browser"
      ? "The model runs in this browser: no file leaves this machine."
      : "Files are sent to the server, which keeps none.";
  find("where").textContent =
    `${model.name} tells ${model.labels.length} classes apart by the bytes of a file.${reads} ${where}`;
  find("card").textContent = model.card ?? "";
  find("card-part").hidden = !model.card;
  privacy.fit(model, engine.where);
  say("No file yet.");
  document.body.dataset.ready = "true";
}

/** Classifies a file, then explains the answer. */
async function take(name, data) {
  forget();
  if (!model) return fail(new Error("The model is not there yet."));
  try {
    if (!data.length) throw new Error(`${name} is empty: there is nothing to classify.`);
    const most = model.limits.max_bytes;
    if (most && data.length > most)
      throw new Error(
        `${name} holds ${data.length.toLocaleString("en")} bytes, the limit is ${most.toLocaleString("en")}.`,
      );
    current = { name, data, ...privacy.apply(data), control: new AbortController() };
    const file = current;
    say(`Reading ${name} (${data.length.toLocaleString("en")} bytes) ...`);
    const answer = await engine.classify(file.sent, { signal: file.control.signal });
    if (file !== current) return;
    showAnswer(answer);
    say(describe(name, answer));
    showFile(file, answer);
    if (model.explain && file.read.length <= model.limits.explain_bytes) await explain();
  } catch (error) {
    fail(error);
  }
}

function showFile(file, answer) {
  find("heat").hidden = find("bytes").hidden = false;
  showPlain(file.data, file.name);
  fill(
    find("explained"),
    answer.top.map(({ label }) => [label, label]),
  );
  showHeat(file.data, null, null);
  showStretches(null);
  hex.show(file.read);
  find("explained").parentElement.hidden = !model.explain;
  find("explain").hidden = true;
  find("heat-note").textContent = model.explain ? "" : "This model cannot be explained.";
  if (model.explain && file.read.length > model.limits.explain_bytes) {
    find("heat-note").textContent =
      `A file of more than ${model.limits.explain_bytes.toLocaleString("en")} bytes is not explained.`;
    find("explained").parentElement.hidden = true;
  }
  find("bytes-note").textContent = file.isPermuted ? "The bytes as they left: permuted with your key." : "";
}

/** Colours the bytes of the file in work by what they said. */
async function explain() {
  const file = current;
  if (!file) return;
  file.explaining?.abort();
  file.explaining = new AbortController();
  const signal = AbortSignal.any([file.control.signal, file.explaining.signal]);
  const progress = find("progress");
  progress.removeAttribute("value");
  progress.hidden = false;
  try {
    const found = await engine.explain(file.sent, {
      method: find("method").value,
      label: find("explained").value,
      wantsOverlay: !file.isPermuted && kindOf(file.data) === "map",
      signal,
      onProgress: (share) => {
        progress.value = share;
      },
    });
    if (file !== current || signal.aborted) return;
    const isMoved = found.altered && !file.isPermuted && !model.reading.permutes_only;
    const fits = !isMoved && found.scores.length === file.read.length;
    const scores = fits ? found.scores : null;
    showHeat(file.data, scores, found.overlay);
    showStretches(scores, (at) => hex.go(at));
    hex.show(file.read, scores);
    find("heat-note").textContent = noteOf(found, fits, file);
    find("explain").hidden = true;
  } catch (error) {
    if (signal.aborted) return;
    find("explain").hidden = false;
    fail(error);
  } finally {
    if (file === current && !signal.aborted) progress.hidden = true;
  }
}

function noteOf(found, fits, file) {
  const how =
    found.method === "occlusion" && found.count
      ? `By occlusion, in this browser: ${found.count} stretches of ${found.size} bytes were hidden in turn.`
      : `By ${found.method.replaceAll("_", " ")}.`;
  const error = found.completenessError;
  const sum =
    typeof error === "number" ? ` The scores miss the difference they explain by ${(100 * error).toFixed(2)} %.` : "";
  const other = fits
    ? ""
    : ` The model read another form of the file, ${found.scores.length} bytes long, so those below are plain.`;
  const permuted = file.isPermuted
    ? " The scores are those of the permuted bytes; the picture was laid under them here."
    : "";
  return how + sum + other + permuted;
}

/** Stops what is in work and clears what was shown. */
function forget() {
  current?.control.abort();
  current = null;
  hideAnswer();
  for (const id of ["heat", "bytes", "progress", "error"]) find(id).hidden = true;
}

function say(words) {
  find("status").textContent = words;
}

function fail(error) {
  if (error.name === "AbortError") return;
  const place = find("error");
  place.textContent = error.message;
  place.hidden = false;
  if (!current || find("answer").hidden) say("No answer.");
}
