// Name the genre of a WAV file with ONNX Runtime alone: node classify.mjs sound.onnx song.wav
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const stop = (sentence) => { console.error(sentence); process.exit(1); };

// The model's metadata are JSON in its file. Its first "}" behind which all is closed ends it.
function metadata(file) {
  const start = file.indexOf('{"schema":');
  for (let end = start; start >= 0 && (end = file.indexOf("}", end) + 1) > 0; ) {
    try { return JSON.parse(file.toString("utf8", start, end)); } catch { /* not yet */ }
  }
  return stop("Expected a model that ostinato export wrote.");
}

function samples(wav, wantedHz) {
  let at = 12, form = [];
  for (; at + 24 < wav.length && wav.toString("latin1", at, at + 4) !== "data"; ) {
    const size = wav.readUInt32LE(at + 4); // format, channels, rate, bits a sample
    if (wav.toString("latin1", at, at + 4) === "fmt ")
      form = [wav.readUInt16LE(at + 8), wav.readUInt16LE(at + 10), wav.readUInt32LE(at + 12), wav.readUInt16LE(at + 22)];
    at += 8 + size + (size % 2);
  }
  if (`${form}` !== `1,1,${wantedHz},16`) stop(`Expected a mono WAV of 16 bits at ${wantedHz} Hz.`);
  const n = Math.min(wav.readUInt32LE(at + 4), wav.length - at - 8) >> 1;
  return Float32Array.from({ length: n }, (_, i) => wav.readInt16LE(at + 8 + 2 * i) / 32768);
}

const [model, wav] = process.argv.slice(2, 4).map((path) => readFileSync(path));
const { genres, spec, takes, threshold, novelty_threshold: furthest } = metadata(model);
if (takes !== "waveform") stop("Expected a model with the front end inside: export it --with-front-end.");
const sound = samples(wav, spec.sample_rate_hz);
const n = Math.round(spec.excerpt_seconds * spec.sample_rate_hz);
if (sound.length < n) stop(`Expected ${spec.excerpt_seconds} s of sound, got ${sound.length / spec.sample_rate_hz}.`);
const first = (sound.length - n) >> 1; // the middle of the song is heard
const waveform = new Tensor("float32", sound.slice(first, first + n), [1, n]);
const { probabilities, distance } = await (await InferenceSession.create(model)).run({ waveform });
const ranked = genres.map((genre, i) => ({ genre, p: probabilities.data[i] })).sort((a, b) => b.p - a.p);
for (const { genre, p } of ranked) console.log(`${genre.padEnd(12)} ${p.toFixed(4)}`);
if (ranked[0].p < (threshold ?? 0)) console.log("(no genre is likely enough)");
if (distance?.data[0] > (furthest ?? Infinity)) console.log("(unlike the music that the model learned from)");
