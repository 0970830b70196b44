// WAV files: written as files/audio.py writes them, and read far enough to draw them.

/** A WAV file of 16 bits a sample in one channel. @param {Float32Array} samples in [-1, 1] @returns {Uint8Array} */
export function writeWav(samples, rate) {
  const file = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => Array.from(word).forEach((letter, i) => file.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  file.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  file.setUint32(16, 16, true);
  file.setUint16(20, 1, true); // integers
  file.setUint16(22, 1, true); // channels
  file.setUint32(24, rate, true);
  file.setUint32(28, 2 * rate, true);
  file.setUint16(32, 2, true);
  file.setUint16(34, 16, true);
  text(36, "data");
  file.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    file.setInt16(44 + 2 * i, toEven(Math.fround(Math.max(-1, Math.min(1, sample)) * 32767)), true);
  });
  return new Uint8Array(file.buffer);
}

/** The nearest whole number, the even one of two: NumPy's rounding. */
function toEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

/**
 * Where the samples of an integer WAV lie, and what they are in the mean of its channels, or null for any other file.
 * @param {Uint8Array} data
 * @returns {{start: number, frame: number, rate: number, values: Float32Array} | null}
 */
export function readWav(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const word = (at) => String.fromCharCode(...data.subarray(at, at + 4));
  if (data.length < 12 || word(0) !== "RIFF" || word(8) !== "WAVE") return null;
  let form = null;
  for (let at = 12; at + 8 <= data.length;) {
    const size = view.getUint32(at + 4, true),
      start = at + 8;
    if (word(at) === "fmt " && size >= 16 && start + 16 <= data.length) {
      form = {
        tag: view.getUint16(start, true),
        channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (word(at) === "data") {
      return form && readSamples(view, form, start, Math.min(size, data.length - start));
    }
    at = start + size + (size % 2);
  }
  return null;
}

function readSamples(view, { tag, channels, rate, bits }, start, size) {
  if (tag !== 1 || !channels || (bits !== 8 && bits !== 16)) return null;
  const width = bits / 8,
    frame = width * channels;
  const values = new Float32Array(Math.floor(size / frame));
  for (let i = 0; i < values.length; i++) {
    for (let channel = 0; channel < channels; channel++) {
      const at = start + i * frame + channel * width;
      values[i] += (bits === 8 ? (view.getUint8(at) - 127.5) / 127.5 : view.getInt16(at, true) / 32767) / channels;
    }
  }
  return { start, frame, rate, values };
}
