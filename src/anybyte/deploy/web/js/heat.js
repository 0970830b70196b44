// Scores as colours: over the picture, over the waveform, or over the bytes wrapped as a picture.

import { pictureLayout } from "./layout.js";
import { readWav } from "./wav.js";

const FOR = [240, 120, 20];
const AGAINST = [40, 120, 235];
const STEPS = 6;
const WIDE = 896; // places on the canvas of a waveform, of which each shows some samples
const HIGH = 160;
const MOST_BYTES = 2 ** 20; // of a byte map

/** The score that has the full colour: almost the largest, so that one outlier does not make all others pale. */
export function fullScore(scores) {
  const sizes = Float32Array.from(scores, Math.abs)
    .filter((size) => size > 0)
    .sort();
  return sizes.length ? sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * 0.995))] : 1;
}

/** The CSS class of a score: f1 to f6 for it, a1 to a6 against it, none near zero. */
export function shade(score, full) {
  const step = Math.min(STEPS, Math.round((Math.abs(score) / full) * STEPS));
  return step ? `${score > 0 ? "f" : "a"}${step}` : "";
}

/** Stretches of 16 bytes that say most, strongest first: [{start, end, score}]. */
export function strongest(scores, count = 8, size = 16) {
  const found = [];
  for (let start = 0; start < scores.length; start += size) {
    const end = Math.min(start + size, scores.length);
    found.push({ start, end, score: scores.subarray(start, end).reduce((a, b) => a + b, 0) });
  }
  return found
    .filter(({ score }) => score)
    .sort((a, b) => Math.abs(b.score) - Math.abs(a.score))
    .slice(0, count);
}

/** What `draw` can lay the scores over: "picture", "waveform" or "map". */
export function kindOf(data) {
  if (readWav(data)) return "waveform";
  return pictureLayout(data) ? "picture" : "map";
}

/**
 * The file with its scores over it.
 * @param {Uint8Array} data the file @param {Float32Array} scores one a byte
 * @returns {{canvas: HTMLCanvasElement, kind: string, caption: string}}
 */
export function draw(data, scores) {
  const full = fullScore(scores);
  const sound = readWav(data);
  if (sound)
    return {
      canvas: drawWave(sound, scores, full),
      kind: "waveform",
      caption: "The sound, its samples coloured by their bytes",
    };
  const picture = pictureLayout(data);
  if (picture)
    return {
      canvas: drawPicture(picture, scores),
      kind: "picture",
      caption: "The picture, its pixels coloured by their bytes",
    };
  return { canvas: drawMap(data, scores, full), kind: "map", caption: "The bytes, wrapped as a picture" };
}

/** The picture alone, where its pixels are stored as they are: browsers show neither TIFF nor PPM. */
export function drawPlain(data) {
  const layout = pictureLayout(data);
  if (!layout) return null;
  const colour = layout.channels > 2;
  return paint(layout.width, layout.height, "The picture in the file", (i) => {
    const at = i * layout.channels;
    return [0, 1, 2].map((channel) => layout.values[at + (colour ? channel : 0)]);
  });
}

function drawPicture({ width, height, channels, offsets, values }, scores) {
  const pixels = new Float32Array(width * height);
  offsets.forEach((at, i) => {
    pixels[Math.floor(i / channels)] += scores[at];
  });
  const full = fullScore(pixels),
    grey = channels > 2 ? 3 : 1;
  return paint(width, height, "The picture with what decided in colour", (i) => {
    let light = 0;
    for (let channel = 0; channel < grey; channel++) light += values[i * channels + channel] / grey;
    return tint(light, pixels[i], full);
  });
}

function drawMap(data, scores, full) {
  const step = Math.max(1, Math.ceil(data.length / MOST_BYTES));
  const count = Math.ceil(data.length / step),
    width = Math.ceil(Math.sqrt(count)),
    height = Math.ceil(count / width);
  return paint(width, height, "The bytes of the file with what decided in colour", (i) => {
    return i < count ? tint(data[i * step], scores[i * step], full) : [128, 128, 128];
  });
}

function drawWave({ start, frame, values }, scores, full) {
  const canvas = newCanvas(WIDE, HIGH, "The sound with what decided in colour", "wide");
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, WIDE, HIGH);
  for (let x = 0; x < WIDE; x++) {
    const first = Math.floor((x * values.length) / WIDE);
    const end = Math.max(first + 1, Math.floor(((x + 1) * values.length) / WIDE));
    let low = 1,
      high = -1,
      score = 0;
    for (let i = Math.max(0, first - 1); i < end && i < values.length; i++) {
      // from the last place, without a gap
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    const from = start + first * frame,
      to = Math.min(start + end * frame, scores.length);
    for (let at = from; at < to; at++) score += scores[at] / (to - from);
    context.fillStyle = css(tint(255, score, full));
    context.fillRect(x, 0, 1, HIGH);
    context.fillStyle = "#202028";
    context.fillRect(x, HIGH / 2 - high * HIGH * 0.48, 1, Math.max(1, (high - low) * HIGH * 0.48));
  }
  return canvas;
}

/** Grey under a colour whose strength is the score's. */
function tint(light, score, full) {
  const strength = Math.min(1, Math.abs(score) / full) * 0.85;
  return (score > 0 ? FOR : AGAINST).map((part) => part * strength + light * (1 - strength));
}

function paint(width, height, label, colourOf) {
  const canvas = newCanvas(width, height, label, "small");
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...colourOf(i), 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function newCanvas(width, height, label, kind) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height, className: kind });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}
