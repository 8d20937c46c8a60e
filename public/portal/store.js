// What the page knows: the API's answers by path, and what is shown of them.
import { ask } from "./api.js";
import { bearer } from "./session.js";

/** How long a message is shown. */
const SAID_MS = 5_000;

/** What is shown, besides the API's answers. Only `change` changes it. */
export const state = {
  route: { view: "deliveries", id: undefined, query: {} },
  /** The 401 that ended the session. */
  ended: undefined,
  /** Whether the last poll got an answer. */
  live: undefined,
  /** What the last poll said about the service that sends webhooks, and about what waits for it. */
  service: { gateway: "ok", waiting: null },
  dialog: undefined,
  said: "",
  /** The id of the delivery pointed at in the picture. */
  pointed: undefined,
  /** The test event or ping that was sent last, by endpoint: its delivery's id and name. */
  tests: new Map(),
  /** A resend of many and how far it is. */
  round: undefined,
};

const known = new Map();
const asking = new Map();
// Answers to requests made before a change may be older than it: they are dropped.
let generation = 0;
let draw = () => {};
let onAct = () => {};

/** Sets how the page is drawn, and what happens after something was changed through the API. */
export function setUp(drawing, acted) {
  draw = drawing;
  onAct = acted;
}

/** Changes the state and draws it. */
export function change(patch) {
  Object.assign(state, patch);
  draw();
}

/** The newest answer of a path; undefined before the first. */
export const answer = (path) => known.get(path)?.data;

/** Why the last request for a path failed; undefined if it did not. */
export const failure = (path) => known.get(path)?.error;

/** When a path was last answered (ms); 0 if never. */
export const answeredAt = (path) => known.get(path)?.at ?? 0;

/** Reads a path anew, once however many ask for it at a time. */
export function load(path) {
  if (!asking.has(path))
    asking.set(
      path,
      read(path).finally(() => asking.delete(path)),
    );
  return asking.get(path);
}

async function read(path) {
  const mine = generation;
  const was = known.get(path);
  try {
    const data = await ask("GET", path);
    if (mine === generation) known.set(path, { data, at: Date.now() });
  } catch (error) {
    if (mine !== generation) return;
    note(error);
    const { data, at = 0 } = error.status === 404 ? {} : (was ?? {});
    known.set(path, { data, at, error });
  }
  draw();
}

// What the view in front needs.
const needed = new Set();

/** Says what the view in front needs: what has no answer yet, or whose last one failed, is read. */
export function need(...paths) {
  for (const path of paths) {
    needed.add(path);
    if (!known.has(path) || failure(path)) void load(path);
  }
}

/** Another view is in front: it says anew what it needs. */
export const leave = () => needed.clear();

/** Notes an error that ends the session. One about the link before is late. */
export function note(error) {
  if (error.status === 401 && error.token === bearer()) change({ ended: error });
}

/** Counts what was asked before a change. */
export const now = () => generation;

/** Changes something through the API. Returns the answer. Throws ApiError. */
export async function act(method, path, body) {
  try {
    return await ask(method, path, body);
  } catch (error) {
    note(error);
    throw error;
  } finally {
    generation++;
    asking.clear();
    for (const path of needed) void load(path);
    onAct();
  }
}

/** Like `act`, for a button: shows how it went. Returns undefined if it failed. */
export async function press(method, path, body, words) {
  try {
    const done = await act(method, path, body);
    say(words(done));
    return done;
  } catch (error) {
    say(error.message);
    return undefined;
  }
}

/** Forgets everything, for a new token. */
export function forget() {
  generation++;
  known.clear();
  asking.clear();
  Object.assign(state, { ended: undefined, live: undefined, dialog: undefined, round: undefined });
  state.tests.clear();
}

/** Notes a ping or test event, whose delivery the page follows. */
export function followTest(endpointId, { event_id: eventId }, name) {
  state.tests.set(endpointId, { id: `${eventId}.${endpointId}`, name });
}

let saidTimer;

/** Shows a brief message at the bottom of the page. */
export function say(said) {
  change({ said });
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => change({ said: "" }), SAID_MS);
}

/** Puts text on the clipboard and says so. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}`);
  } catch {
    say("The browser did not allow copying: select the text and copy it by hand");
  }
}
