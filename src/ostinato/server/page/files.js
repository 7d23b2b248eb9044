// Files that a person gives: dropped anywhere, chosen, or a folder of them.

import { SUFFIXES } from "./given.js";
import { byId } from "./dom.js";

const known = new Set(SUFFIXES);

/** A file, and its path within the folder that was given. @typedef {{file: File, path: string}} Given */

/**
 * Have files given.
 * @param {(file: File) => void} one Gets a song.
 * @param {(files: Given[]) => void} many Gets the songs of a folder, or several at once.
 */
export function takeFiles(one, many) {
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files.length) one(target.files[0]);
    target.value = ""; // the same file again is a change, too
  });
  byId("folder").addEventListener("change", ({ target }) => {
    const files = [...target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    target.value = "";
    if (files.length) many(songs(files));
  });
  let depth = 0; // of elements that the pointer entered
  const hover = (by) => document.body.classList.toggle("hover", (depth += by) > 0);
  const holdsFiles = (event) => event.dataTransfer.types.includes("Files");
  addEventListener("dragenter", (event) => holdsFiles(event) && hover(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && hover(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hover(0);
    const { files, hasFolder } = await dropped(event.dataTransfer);
    if (files.length === 1 && !hasFolder) one(files[0].file);
    else many(hasFolder ? songs(files) : files);
  });
}

/** Those whose suffix is one of sound, in order of their paths; hidden ones are left out. */
function songs(files) {
  const order = new Intl.Collator(undefined, { numeric: true });
  return files
    .filter(({ path }) => known.has(suffix(path)) && !path.split("/").some((part) => part.startsWith(".")))
    .sort((a, b) => order.compare(a.path, b.path));
}

function suffix(path) {
  return path.slice(path.lastIndexOf(".")).toLowerCase();
}

async function dropped(transfer) {
  // All entries are taken before the first wait: afterwards the browser has forgotten them.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) {
    return { files: [...transfer.files].map((file) => ({ file, path: file.name })), hasFolder: false };
  }
  const found = await Promise.all(entries.map(walk));
  return { files: found.flat(), hasFolder: entries.some((entry) => entry.isDirectory) };
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, path: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    // A reader gives a hundred at a time.
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    inside.push(...some);
  }
  const found = [];
  for (const each of inside) found.push(...(await walk(each)));
  return found;
}
