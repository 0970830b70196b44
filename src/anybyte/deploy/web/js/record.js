// A word from the microphone as samples.

const LONGEST = 4; // seconds
const QUIET = 0.06; // of the loudest moment: below this there is no word
const AROUND = 0.04; // seconds kept before and after the word
const MOMENT = 0.01; // seconds over which loudness is measured

export class Recorder {
  /** @param {() => void} onEnd called once the recording has stopped by itself */
  constructor(onEnd) {
    this.onEnd = onEnd;
    this.parts = [];
  }

  get isRunning() {
    return Boolean(this.context);
  }

  /** Asks for the microphone and begins. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error("Browsers lend the microphone to pages over HTTPS or on this machine only.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      throw new Error(`The microphone cannot be used: ${error.message}`);
    }
    this.parts = [];
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(new URL("./microphone.js", import.meta.url));
    const node = new AudioWorkletNode(this.context, "microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.parts.push(data);
    this.context.createMediaStreamSource(this.stream).connect(node);
    this.timer = setTimeout(() => this.onEnd(), LONGEST * 1000);
  }

  /** Stops. @returns {Promise<Float32Array>} the samples, at `rate` a second */
  async stop(rate, isTrimmed) {
    clearTimeout(this.timer);
    this.stream.getTracks().forEach((track) => track.stop());
    const own = this.context.sampleRate;
    await this.context.close();
    this.context = null;
    const samples = new Float32Array(this.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      samples.set(part, at);
      at += part.length;
    }
    if (!samples.length) throw new Error("Nothing was recorded.");
    const word = await resample(samples, own, rate);
    return isTrimmed ? trim(word, rate) : word;
  }
}

/** The same sound at another rate; the browser filters what the new rate cannot hold. */
export async function resample(samples, rate, newRate) {
  const offline = new OfflineAudioContext(1, Math.max(1, Math.round((samples.length * newRate) / rate)), newRate);
  const buffer = offline.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = offline.createBufferSource();
  source.buffer = buffer;
  source.connect(offline.destination);
  source.start();
  return (await offline.startRendering()).getChannelData(0);
}

/** The sound without the silence before and after it. */
export function trim(samples, rate) {
  const moment = Math.max(1, Math.round(MOMENT * rate));
  const loudness = [];
  for (let start = 0; start < samples.length; start += moment) {
    const part = samples.subarray(start, start + moment);
    loudness.push(Math.sqrt(part.reduce((sum, sample) => sum + sample * sample, 0) / part.length));
  }
  const least = QUIET * Math.max(...loudness);
  if (!least) return samples;
  const isLoud = (value) => value > least;
  const around = Math.round(AROUND * rate);
  const start = Math.max(0, loudness.findIndex(isLoud) * moment - around);
  return samples.slice(start, (loudness.findLastIndex(isLoud) + 1) * moment + around);
}
