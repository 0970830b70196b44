// The ways in: a dropped or chosen file, a recorded word, a drawing. Each ends in onFile(name, bytes).

import { find } from "./dom.js";
import { Sheet } from "./draw.js";
import { writePng } from "./png.js";
import { Recorder } from "./record.js";
import { writeWav } from "./wav.js";

/**
 * @param {(name: string, data: Uint8Array) => void} onFile
 * @param {(error: Error) => void} onError
 */
export function listen(onFile, onError) {
  const take = async (files) => {
    if (!files.length) return;
    try {
      if (files.length > 1) throw new Error(`One file at a time, please: these are ${files.length}.`);
      onFile(files[0].name, await bytesOf(files[0]));
    } catch (error) {
      onError(error);
    }
  };
  listenToDrops(take);
  find("file").addEventListener("change", async (event) => {
    const files = [...event.target.files];
    await take(files);
    event.target.value = ""; // so that the same file may be chosen again
  });
  listenToMicrophone(onFile, onError);
  listenToSheet(onFile, onError);
}

/** The bytes of a chosen file. */
export async function bytesOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} cannot be read (is it a folder?).`);
  }
}

function listenToDrops(take) {
  let depth = 0; // elements entered and not yet left
  const mark = () => document.body.classList.toggle("dragging", depth > 0);
  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    mark();
  });
  document.addEventListener("dragleave", () => {
    depth -= 1;
    mark();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    take([...event.dataTransfer.files]);
  });
}

function listenToMicrophone(onFile, onError) {
  const button = find("record"),
    hint = find("record-hint");
  const finish = async () => {
    button.disabled = true;
    try {
      const rate = Number(find("rate").value);
      onFile("recording.wav", writeWav(await recorder.stop(rate, find("trim").checked), rate));
    } catch (error) {
      onError(error);
    }
    button.disabled = false;
    show(false);
  };
  const show = (isOn) => {
    button.setAttribute("aria-pressed", String(isOn));
    button.textContent = isOn ? "Stop" : "Record a word";
    hint.textContent = isOn ? "Recording: speak now." : "";
  };
  const recorder = new Recorder(finish);
  button.addEventListener("click", async () => {
    if (recorder.isRunning) return void finish();
    button.disabled = true;
    try {
      await recorder.start();
      show(true);
    } catch (error) {
      onError(error);
    }
    button.disabled = false;
  });
}

function listenToSheet(onFile, onError) {
  const sheet = new Sheet(find("sheet")),
    button = find("draw"),
    part = find("drawing");
  button.addEventListener("click", () => {
    part.hidden = !part.hidden;
    button.setAttribute("aria-expanded", String(!part.hidden));
    if (!part.hidden) find("sheet").focus();
  });
  find("side").addEventListener("change", (event) => {
    sheet.resize(Number(event.target.value));
  });
  find("clear").addEventListener("click", () => sheet.clear());
  find("read-drawing").addEventListener("click", () => {
    const pixels = sheet.pixels(find("fit").checked);
    if (pixels.every((value) => !value)) return onError(new Error("The sheet is empty: draw something first."));
    onFile("drawing.png", writePng(pixels, sheet.side, sheet.side));
  });
}
