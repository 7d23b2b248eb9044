// Record from the microphone: a clock and the level while it runs, a file when it stops.

import { MOST_SECONDS } from "./given.js";
import { byId, clock, tell } from "./dom.js";

const RECORDED = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

/**
 * Have the button record.
 * @param {(file: File) => void} done Gets the recording.
 */
export function takeRecordings(done) {
  const why = impossible();
  byId("record").disabled = Boolean(why);
  tell(byId("record-note"), why);
  if (why) return;
  byId("record").addEventListener("click", async () => {
    byId("record").disabled = true;
    for (const id of ["record-note", "error"]) tell(byId(id), "");
    byId("player").pause();
    try {
      const file = await record();
      if (file.size) done(file);
      else tell(byId("record-note"), "Nothing was recorded.");
    } catch (error) {
      tell(byId("record-note"), refused(error));
    } finally {
      byId("record").disabled = false;
      byId("record").focus();
    }
  });
}

function impossible() {
  if (!isSecureContext) {
    return "Recording needs a page that nobody can change on its way: open it as http://localhost, or through HTTPS.";
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return "This browser cannot record.";
  return "";
}

function refused(error) {
  const said = {
    NotAllowedError: "The microphone was not allowed. Allow it for this page in the browser, and record again.",
    NotFoundError: "There is no microphone. Connect one, and record again.",
    NotReadableError: "The microphone cannot be opened. Another program may hold it.",
  };
  return said[error.name] ?? `The microphone cannot be used: ${error.message}`;
}

/** Record until it is stopped, or as long as the server takes. */
async function record() {
  // What makes voices clear takes music apart.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio });
  const mimeType = RECORDED.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 128_000 });
  const pieces = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  const stop = () => recorder.state !== "inactive" && recorder.stop();
  const meter = watch(stream, stop);
  byId("recording").hidden = false;
  byId("stop-record").onclick = stop;
  byId("stop-record").focus();
  stream.getTracks().forEach((track) => track.addEventListener("ended", stop)); // it was unplugged
  try {
    recorder.start(1000);
    await stopped;
  } finally {
    meter.close();
    stream.getTracks().forEach((track) => track.stop());
    byId("recording").hidden = true;
  }
  const type = recorder.mimeType.split(";")[0];
  const [hours, minutes] = [new Date().getHours(), new Date().getMinutes()].map((n) => String(n).padStart(2, "0"));
  return new File(pieces, `recording ${hours}.${minutes}.${type.split("/")[1]}`, { type });
}

/** Show the clock and the level of a stream. */
function watch(stream, stop) {
  const context = new AudioContext();
  context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192 }); // longer than a tick of the timer
  const source = context.createMediaStreamSource(stream);
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const began = performance.now();
  let level = 0;
  const timer = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    byId("clock").textContent = clock(Math.floor(seconds));
    analyser.getFloatTimeDomainData(samples);
    const peak = samples.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
    level = Math.min(1, Math.max(0, 1 + Math.log10(peak) / 3, level - 0.04)); // -60 dB to 0, which falls slowly
    byId("level").value = level;
    if (seconds > MOST_SECONDS - 1) stop();
  }, 100);
  byId("clock").textContent = "0:00";
  return {
    close() {
      clearInterval(timer);
      source.disconnect();
      context.close();
    },
  };
}
