// What the server is asked, and how it refuses.

/** A refusal of the server, in its own words. */
export class Refused extends Error {
  constructor(status, detail, code) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const KEY = "ostinato-key";
const MOST_WAITS = 60; // of a busy server

let askForKey = () => Promise.reject(new Refused(401, "The server asks for a key."));

/**
 * Say how a person is asked for a key.
 * @param {(why: string) => Promise<string>} ask
 */
export function onKey(ask) {
  askForKey = ask;
}

const others = new Map(); // by model, the genre that stands for none of its genres

/** Hear a file: the values of its verdict, and its guess {genre, probability} where it abstains. */
export async function classify(file, options, signal) {
  return guessed(await send("v1/classify", file, options, signal), options.model);
}

/** Hear a file by all models: [{model, verdict, problem}]. */
export async function compare(file, options, signal) {
  const { results } = await send("v1/compare", file, options, signal);
  results.forEach(({ model, verdict }) => verdict && guessed(verdict, model));
  return results;
}

function guessed(verdict, model) {
  const likeliest = verdict.ranked[0];
  return Object.assign(verdict, { guess: likeliest?.genre === others.get(model) ? null : likeliest });
}

/** Find what spoke for the verdict on an excerpt. */
export const explain = (file, options, signal) => send("v1/explain", file, options, signal);

/** The models: [{name, problem, ...}]. */
export async function models(signal) {
  const { models: known } = await ask("v1/models", {}, signal);
  known.forEach(({ name, other }) => other && others.set(name, other));
  return known;
}

function send(path, file, options, signal) {
  const form = () => {
    const body = new FormData(); // anew for each try
    body.append("file", file, file.name);
    return { method: "POST", body };
  };
  const stated = Object.entries(options).filter(([, value]) => value !== ""); // no model: the server's first
  return ask(`${path}?${new URLSearchParams(stated)}`, form, signal);
}

/** Ask until there is an answer: a busy server is waited for, a key is asked for. */
async function ask(path, request, signal) {
  for (let waits = 0; ; ) {
    const key = sessionStorage.getItem(KEY);
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const init = typeof request === "function" ? request() : request;
    const answer = await reach(path, { ...init, headers, signal });
    if (answer.ok) return answer.json();
    const problem = await refusal(answer);
    if (problem.status === 401) {
      if (sessionStorage.getItem(KEY) === key) await newKey(key ? problem.message : "");
    } else if (problem.status === 429 && waits++ < MOST_WAITS) {
      await pause(Number(answer.headers.get("Retry-After")) || 1, signal);
    } else {
      throw problem;
    }
  }
}

async function reach(path, init) {
  try {
    return await fetch(path, { ...init, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server did not answer. Is it still running, and can the file still be read?");
  }
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  return new Refused(answer.status, problem.detail ?? `The server refused: ${answer.status}.`, problem.code);
}

let asking = null; // one question for all requests that wait

function newKey(why) {
  asking ??= askForKey(why)
    .then((key) => sessionStorage.setItem(KEY, key))
    .finally(() => (asking = null));
  return asking;
}

/** Wait, unless the signal says that nobody does. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
