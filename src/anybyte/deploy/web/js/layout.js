// Where the channels of a picture's pixels lie in its file, for formats that store them as they are: PNG without
// compression, BMP, PGM and PPM, TIFF. Anything else, or anything odd, has no layout.

import { predict } from "./png.js";

/**
 * @typedef {object} Layout
 * @property {string} format
 * @property {number} width
 * @property {number} height
 * @property {number} channels
 * @property {Int32Array} offsets height * width * channels places: rows, columns, and (red, green, blue, alpha)
 * @property {Uint8Array} values what the picture has there: the bytes themselves, but where a PNG's rows are filtered
 */

/** @param {Uint8Array} data @returns {Layout | null} */
export function pictureLayout(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  try {
    const layout = png(data, view) ?? bmp(data, view) ?? pnm(data) ?? tiff(data, view);
    if (!layout?.offsets.every((at) => at >= 0 && at < data.length)) return null;
    return { values: Uint8Array.from(layout.offsets, (at) => data[at]), ...layout };
  } catch (error) {
    if (error instanceof RangeError) return null; // the file ends early
    throw error;
  }
}

function make(format, width, height, channels, rowStart, order = null, pixel = channels) {
  if (!(width > 0 && height > 0 && width * height * channels <= 2 ** 26)) return null;
  const offsets = new Int32Array(width * height * channels);
  for (let y = 0, i = 0; y < height; y++) {
    const start = rowStart(y);
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++)
        offsets[i++] = start + x * pixel + (order ? order[channel] : channel);
    }
  }
  return { format, width, height, channels, offsets };
}

function png(data, view) {
  if (data.length < 33 || view.getUint32(0) !== 0x89504e47) return null;
  const width = view.getUint32(16),
    height = view.getUint32(20);
  const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[data[25]];
  if (data[24] !== 8 || !channels || data[28] !== 0) return null; // 8 bits, no palette, not interlaced
  const places = storedPlaces(data, view, height * (width * channels + 1));
  if (!places) return null;
  const row = width * channels + 1;
  const offsets = new Int32Array(width * height * channels),
    values = new Uint8Array(offsets.length);
  for (let y = 0; y < height; y++) {
    const filter = data[places[y * row]],
      start = y * (row - 1);
    offsets.set(places.subarray(y * row + 1, (y + 1) * row), start);
    for (let i = 0; i < row - 1; i++) {
      const isFirst = i < channels,
        at = start + i;
      const above = y ? values[at - row + 1] : 0;
      const corner = y && !isFirst ? values[at - row + 1 - channels] : 0;
      values[at] = data[offsets[at]] + predict(filter, isFirst ? 0 : values[at - channels], above, corner);
    }
  }
  return { format: "PNG", width, height, channels, offsets, values };
}

/** Where the bytes lie that a PNG's stored blocks hold, or null if a block is compressed. */
function storedPlaces(data, view, count) {
  const stream = []; // [start, end] of what the chunks of picture data hold
  for (let at = 8; at + 12 <= data.length;) {
    const size = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) stream.push([at + 8, at + 8 + size]);
    at += 12 + size;
  }
  if (!stream.length || data[stream[0][0] + 2] > 1) return null; // compressed, as most are
  const at = [];
  for (const [start, end] of stream) for (let i = start; i < end; i++) at.push(i);
  const places = new Int32Array(count);
  let filled = 0;
  for (let i = 2; filled < count;) {
    if (i + 5 > at.length || data[at[i]] > 1) return null; // not a stored block
    const size = data[at[i + 1]] | (data[at[i + 2]] << 8);
    for (let j = 0; j < size && filled < count; j++) places[filled++] = at[i + 5 + j] ?? -1;
    i += 5 + size;
  }
  return places;
}

function bmp(data, view) {
  if (data.length < 54 || view.getUint16(0) !== 0x424d || view.getUint32(14, true) < 40) return null;
  const width = view.getInt32(18, true),
    signed = view.getInt32(22, true),
    bits = view.getUint16(28, true);
  if (view.getUint32(30, true) !== 0 || (bits !== 24 && bits !== 8)) return null;
  const start = view.getUint32(10, true),
    height = Math.abs(signed);
  if (bits === 8 && !isGreyPalette(data, 14 + view.getUint32(14, true), start)) return null;
  const row = Math.ceil((width * bits) / 32) * 4;
  const rowStart = (y) => start + row * (signed > 0 ? height - 1 - y : y);
  return bits === 8 ? make("BMP", width, height, 1, rowStart) : make("BMP", width, height, 3, rowStart, [2, 1, 0]);
}

function isGreyPalette(data, start, end) {
  for (let i = 0; start + 4 * i + 4 <= end; i++) {
    const at = start + 4 * i;
    if (data[at] !== i || data[at + 1] !== i || data[at + 2] !== i) return false;
  }
  return end > start;
}

function pnm(data) {
  const head = new TextDecoder("latin1").decode(data.subarray(0, 512));
  const found = /^P([56])(?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+(\d+)(?:\s+#[^\n]*)*\s+255\s/.exec(head);
  if (!found) return null;
  const [all, kind, width, height] = found,
    channels = kind === "5" ? 1 : 3;
  return make("PNM", Number(width), Number(height), channels, (y) => all.length + y * width * channels);
}

function tiff(data, view) {
  const order = String.fromCharCode(data[0], data[1]),
    little = order === "II";
  if ((!little && order !== "MM") || view.getUint16(2, little) !== 42) return null;
  const tags = {};
  const start = view.getUint32(4, little);
  for (let i = 0; i < view.getUint16(start, little); i++) {
    const at = start + 2 + 12 * i;
    tags[view.getUint16(at, little)] = tiffValues(view, at, little);
  }
  const one = (tag, otherwise) => tags[tag]?.[0] ?? otherwise;
  const width = one(256),
    height = one(257),
    channels = one(277, 1),
    rows = one(278, height),
    strips = tags[273];
  const isPlain =
    (tags[258] ?? [1]).every((bits) => bits === 8) && one(259, 1) === 1 && one(284, 1) === 1 && one(317, 1) === 1;
  if (!isPlain || ![1, 2].includes(one(262)) || !strips || strips.length < Math.ceil(height / rows)) return null;
  return make("TIFF", width, height, channels, (y) => strips[Math.floor(y / rows)] + (y % rows) * width * channels);
}

/** The numbers of a TIFF's field: of 16 or 32 bits, in the field itself or where it points. */
function tiffValues(view, at, little) {
  const type = view.getUint16(at + 2, little),
    count = view.getUint32(at + 4, little);
  if ((type !== 3 && type !== 4) || count > 2 ** 20) return [];
  const size = type === 3 ? 2 : 4;
  const start = size * count <= 4 ? at + 8 : view.getUint32(at + 8, little);
  return Array.from({ length: count }, (_, i) =>
    size === 2 ? view.getUint16(start + 2 * i, little) : view.getUint32(start + 4 * i, little),
  );
}
