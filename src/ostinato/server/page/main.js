// The page: what is given, and who gets it.

import { Refused, classify, models } from "./api.js";
import { byId, make, tell } from "./dom.js";
import { takeFiles } from "./files.js";
import { Folder, tooLarge } from "./folder.js";
import { MOST_BYTES } from "./given.js";
import { takeKeys } from "./key.js";
import { takeRecordings } from "./recorder.js";
import { Song } from "./song.js";

const song = new Song();
const folder = new Folder();
let controller = null; // of the song that is being heard
let last = null; // the file that was given last

async function hear(file) {
  controller?.abort();
  const mine = (controller = new AbortController());
  last = file;
  song.hide();
  tell(byId("error"), "");
  byId("status").textContent = "";
  try {
    if (file.size > MOST_BYTES) throw new Refused(413, tooLarge(file));
    busy(`Hearing ${file.name} …`);
    const model = byId("model").value;
    const verdict = await classify(file, { model, timeline: true }, mine.signal);
    if (!mine.signal.aborted) song.show(file, verdict, model);
  } catch (error) {
    if (!mine.signal.aborted) tell(byId("error"), error.message);
  } finally {
    if (controller === mine) busy("");
  }
}

function busy(words) {
  byId("busy").hidden = !words;
  byId("busy-words").textContent = words;
}

async function listModels() {
  try {
    const usable = (await models()).filter(({ problem }) => !problem);
    byId("model").replaceChildren(...usable.map(({ name }) => make("option", { value: name }, name)));
    byId("model").closest("p").hidden = usable.length < 2;
    byId("compare").closest("section").hidden = usable.length < 2;
  } catch (error) {
    tell(byId("error"), error.message);
  }
}

takeKeys();
takeFiles(hear, (files) => folder.hear(files, byId("model").value));
takeRecordings(hear);
byId("model").addEventListener("change", () => last && hear(last));
listModels();
