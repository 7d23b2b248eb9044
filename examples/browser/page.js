// Name the genre of a song in the browser: sound in, probabilities out, no server.
import { env, InferenceSession, Tensor } from "./ort.wasm.min.mjs";

const [fileInput, recordButton, status, verdict] = ["file", "record", "status", "verdict"].map((id) =>
  document.getElementById(id));
const SHOWN = 3, EXCERPTS = 3, WHOLE_UNDER_S = 90, RECORDED_S = 30;
const SILENT_DEVIATION = 10 ** (-70 / 20);

env.wasm.numThreads = 1; // more need headers that not every host sends
const { session, info } = await load();
const rate = info.spec.sample_rate_hz;
const thresholds = info.thresholds ?? []; // of each genre, where a sound may have several
const N = Math.round(info.spec.excerpt_seconds * rate); // samples of an excerpt
const microphone = navigator.mediaDevices?.getUserMedia && window.MediaRecorder;

async function load() {
  try {
    const bytes = new Uint8Array(await (await fetch("sound.onnx")).arrayBuffer());
    return { session: await InferenceSession.create(bytes), info: metadata(bytes) };
  } catch (error) {
    status.textContent = `The model cannot be loaded: ${error.message}`;
    throw error;
  }
}

// The model's metadata are JSON in its file. Its first "}" behind which all is closed ends it.
function metadata(bytes) {
  const letters = new TextDecoder("latin1").decode(bytes);
  const start = letters.indexOf('{"schema":');
  for (let end = start; start >= 0 && (end = letters.indexOf("}", end) + 1) > 0; ) {
    try {
      const found = JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)));
      if (found.takes === "waveform") return found;
      break;
    } catch { /* not yet */ }
  }
  throw new Error("expected one that ostinato export --with-front-end wrote.");
}

// Any file that the browser plays becomes one channel at the model's rate: the mean, as in Python.
async function decoded(buffer) {
  const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(buffer);
  const mono = sound.getChannelData(0).slice();
  for (let c = 1; c < sound.numberOfChannels; c++) sound.getChannelData(c).forEach((x, i) => { mono[i] += x; });
  return mono.map((x) => x / sound.numberOfChannels);
}

// All of a short sound; excerpts from the middles of equal parts of a long one.
function excerpts(sound) {
  if (sound.length < N) return [Float32Array.from({ length: N }, (_, i) => sound[i % sound.length])]; // repeated
  const isLong = sound.length > WHOLE_UNDER_S * rate;
  const n = isLong ? EXCERPTS : Math.ceil(sound.length / N);
  return Array.from({ length: n }, (_, i) => {
    const start = isLong ? Math.round(((i + 0.5) / n) * sound.length - N / 2) : Math.min(i * N, sound.length - N);
    return sound.subarray(start, start + N);
  });
}

function isSilent(sound) {
  const mean = sound.reduce((sum, x) => sum + x, 0) / sound.length;
  return Math.sqrt(sound.reduce((sum, x) => sum + (x - mean) ** 2, 0) / sound.length) < SILENT_DEVIATION;
}

// Probabilities are averaged before the model's temperature is applied, as Python averages them.
function powered(probabilities, power) {
  const raised = Float64Array.from(probabilities, (p) => p ** power);
  const sum = raised.reduce((total, p) => total + p, 0);
  return thresholds.length ? probabilities : raised.map((p) => p / sum);
}

async function hear(blob) {
  let sound;
  try {
    sound = await decoded(await blob.arrayBuffer());
  } catch {
    throw new Error("Expected sound that this browser can play; got something else, or a damaged file.");
  }
  const heard = excerpts(sound).filter((excerpt) => !isSilent(excerpt));
  if (heard.length === 0 || sound.length === 0) return { ranked: [], said: "I don't know: the sound is silent." };
  const sums = new Float64Array(info.genres.length);
  let distance = 0;
  for (const [i, excerpt] of heard.entries()) {
    status.textContent = `Listening, ${i + 1} of ${heard.length} …`;
    await new Promise((resolve) => setTimeout(resolve)); // the browser shows it
    const out = await session.run({ waveform: new Tensor("float32", excerpt, [1, N]) });
    powered(out.probabilities.data, info.temperature).forEach((p, g) => { sums[g] += p / heard.length; });
    distance += (out.distance?.data[0] ?? 0) / heard.length;
  }
  const means = powered(sums, 1 / info.temperature);
  const ranked = info.genres.map((genre, g) => ({ genre, p: means[g] })).sort((a, b) => b.p - a.p);
  const least = ({ genre }) => thresholds[info.genres.indexOf(genre)] ?? info.threshold ?? 0;
  const sure = (thresholds.length ? ranked : ranked.slice(0, 1)).filter((row) => row.p >= least(row));
  const named = sure.map(({ genre }) => genre).filter((genre) => genre !== info.other);
  let said = named.length ? `It is ${named.join(", ")}.` : "I don't know: no genre is likely enough.";
  if (distance > (info.novelty_threshold ?? Infinity))
    said = "I don't know: it is unlike the music that the model learned from.";
  return { ranked, said };
}

function show({ ranked, said }) {
  status.textContent = said;
  verdict.replaceChildren(...ranked.slice(0, SHOWN).map(({ genre, p }) => {
    const [row, name, bar, share] = ["li", "span", "meter", "span"].map((tag) => document.createElement(tag));
    name.textContent = genre;
    bar.value = p;
    bar.setAttribute("aria-hidden", "true");
    share.textContent = `${Math.round(100 * p)}%`;
    row.dataset.probability = p;
    row.append(name, bar, share);
    return row;
  }));
}

function enable(isFree) {
  fileInput.disabled = !isFree;
  recordButton.disabled = !isFree || !microphone;
}

// One thing at a time: what is heard, or why it is not.
async function during(work) {
  enable(false);
  verdict.replaceChildren();
  try {
    show(await work());
  } catch (error) {
    status.textContent = error.message;
  } finally {
    enable(true);
  }
}

async function recorded() {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, // music, not speech
  }).catch(() => { throw new Error("Expected a microphone that this page may use; got none."); });
  const recorder = new MediaRecorder(stream), parts = [];
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.start();
  const usual = recordButton.textContent, stop = () => recorder.state === "recording" && recorder.stop();
  recordButton.textContent = "Stop and hear it";
  recordButton.disabled = false;
  recordButton.addEventListener("click", stop, { once: true });
  status.textContent = "Recording …";
  const timer = setTimeout(stop, 1000 * RECORDED_S);
  await stopped;
  clearTimeout(timer);
  recordButton.removeEventListener("click", stop);
  recordButton.textContent = usual;
  stream.getTracks().forEach((track) => track.stop());
  return new Blob(parts, { type: recorder.mimeType });
}

let isAtWork = false;
fileInput.addEventListener("change", () => fileInput.files[0] && during(() => hear(fileInput.files[0])));
recordButton.addEventListener("click", async () => {
  if (isAtWork) return; // this click stops the recording
  isAtWork = true;
  await during(async () => hear(await recorded()));
  isAtWork = false;
});
status.textContent = "Choose a song.";
enable(true);
