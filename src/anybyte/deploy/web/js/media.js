// The file as people know it: a picture, a sound to play, and what decided laid over it.

import { find, text } from "./dom.js";
import { draw, drawPlain, strongest } from "./heat.js";
import { signed } from "./hexview.js";

const PICTURES = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
  ["image/bmp", [0x42, 0x4d]],
];
const SOUNDS = [
  ["audio/wav", "RIFF", "WAVE"],
  ["audio/flac", "fLaC"],
  ["audio/ogg", "OggS"],
  ["audio/mpeg", "ID3"],
];

let address = null;

/** Shows a picture or a player for the file, if the browser has one for it. @param {Uint8Array} data */
export function showPlain(data, name) {
  if (address) URL.revokeObjectURL(address);
  address = null;
  const shown = player(data, name) ?? drawPlain(data);
  find("plain").replaceChildren(...(shown ? [shown] : []));
  find("plain-figure").hidden = !shown;
}

/**
 * Lays the scores over the file.
 * @param {Uint8Array} data the file @param {Float32Array | null} scores one a byte of it; null: of something else
 * @param {{kind, url} | null} overlay the server's picture of it
 */
export function showHeat(data, scores, overlay) {
  let shown = null,
    caption = "";
  if (overlay && (!scores || overlay.kind !== "map")) {
    shown = Object.assign(document.createElement("img"), {
      src: overlay.url,
      alt: `What decided, drawn as a ${overlay.kind}`,
    });
    shown.className = overlay.kind === "waveform" ? "" : "small";
    caption = {
      picture: "The picture with what decided in colour",
      waveform: "The sound with what decided in colour",
      map: "The bytes, wrapped as a picture",
    }[overlay.kind];
  } else if (scores) {
    ({ canvas: shown, caption } = draw(data, scores));
  }
  find("overlay").replaceChildren(...(shown ? [shown] : []));
  find("heat-caption").textContent = caption;
  find("heat-figure").hidden = !shown;
}

/** Lists what says most. @param {(at: number) => void} onChoose shows a byte */
export function showStretches(scores, onChoose) {
  const found = scores ? strongest(scores) : [];
  find("stretches").replaceChildren(
    ...found.map(({ start, end, score }) => {
      const item = document.createElement("li");
      const button = text("button", "", `${start} to ${end - 1}: ${signed(score)}`);
      button.type = "button";
      button.addEventListener("click", () => onChoose(start));
      item.append(button);
      return item;
    }),
  );
  find("stretches-part").hidden = !found.length;
}

function player(data, name) {
  const picture =
    PICTURES.find(([, magic]) => magic.every((value, i) => data[i] === value))?.[0] ??
    (word(data, 8) === "WEBP" ? "image/webp" : null);
  const sound = SOUNDS.find(
    ([, first, second]) => word(data, 0).startsWith(first) && (!second || word(data, 8) === second),
  )?.[0];
  if (!picture && !sound) return null;
  address = URL.createObjectURL(new Blob([data], { type: picture ?? sound }));
  if (picture) {
    const image = Object.assign(document.createElement("img"), { src: address, alt: `The picture in ${name}` });
    image.addEventListener("load", () => {
      if (image.naturalWidth < 280) image.className = "small";
    });
    image.addEventListener("error", () => {
      find("plain-figure").hidden = true;
    });
    return image;
  }
  const audio = Object.assign(document.createElement("audio"), { src: address, controls: true });
  audio.setAttribute("aria-label", `The sound in ${name}`);
  return audio;
}

function word(data, at) {
  return String.fromCharCode(...data.subarray(at, at + 4));
}
