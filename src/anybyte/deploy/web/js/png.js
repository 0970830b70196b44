// PNG files without compression, as files/images.py writes them under the name `png:0`.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const MOST = 65535; // bytes of one stored block

/** @param {Uint8Array} pixels grey, rows from the top @returns {Uint8Array} */
export function writePng(pixels, width, height) {
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    const above = y ? pixels.subarray((y - 1) * width, y * width) : new Uint8Array(width);
    rows.set(bestRow(pixels.subarray(y * width, (y + 1) * width), above), y * (width + 1));
  }
  if (rows.length > MOST) throw new Error(`a picture of ${width} x ${height} is too large for one stored block`);
  const head = new Uint8Array([...word(width), ...word(height), 8, 0, 0, 0, 0]);
  const size = [rows.length & 255, rows.length >> 8];
  const body = new Uint8Array([0x78, 1, 1, ...size, 255 - size[0], 255 - size[1], ...rows, ...word(adler(rows))]);
  return new Uint8Array([...SIGNATURE, ...chunk("IHDR", head), ...chunk("IDAT", body), ...chunk("IEND", [])]);
}

/** A row behind the number of its filter: of those that Pillow tries, in its order, the one with the smallest bytes. */
function bestRow(row, above) {
  let best = null,
    least = Infinity;
  for (const filter of [0, 2, 1, 4]) {
    const found = Uint8Array.from(
      row,
      (value, x) => value - predict(filter, row[x - 1] ?? 0, above[x], above[x - 1] ?? 0),
    );
    const sum = found.reduce((total, value) => total + Math.min(value, 256 - value), 0);
    if (sum < least) [best, least] = [[filter, ...found], sum];
  }
  return best;
}

/** What a filter of PNG takes a byte to be, from those to its left, above, and above to the left. */
export function predict(filter, left, above, corner) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const guess = left + above - corner;
  const [a, b, c] = [left, above, corner].map((value) => Math.abs(guess - value));
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

function chunk(name, body) {
  const named = Uint8Array.from([...Array.from(name, (letter) => letter.charCodeAt(0)), ...body]);
  return [...word(body.length), ...named, ...word(crc(named))];
}

function word(value) {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function crc(data) {
  let state = 0xffffffff;
  for (const value of data) {
    state ^= value;
    for (let bit = 0; bit < 8; bit++) state = state & 1 ? (state >>> 1) ^ 0xedb88320 : state >>> 1;
  }
  return (state ^ 0xffffffff) >>> 0;
}

function adler(data) {
  let a = 1,
    b = 0;
  for (const value of data) {
    a = (a + value) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}
