// What the page knows: the API's answers by path, kept fresh while the page is visible.
import { ask } from "./api.js";

/** Time between two rounds of requests. */
const INTERVAL_MS = 2_000;
/** The same while something is expected any moment, and for how many rounds. */
const QUICK_MS = 500;
const QUICK_LOOKS = 16;
/** The same after all requests of a round failed. */
const TROUBLE_MS = 5_000;
/** Most requests per round that can wait (`every`): a long list of endpoints is read bit by bit. */
const SPARE_QUESTIONS = 6;
/** How long a message is shown. */
const SAID_MS = 4_000;

/** What is shown, besides the API's answers. Only `change` changes it. */
export const state = {
  route: { view: "endpoints" },
  /** The 401 that ended the session. */
  ended: undefined,
  /** Whether the last round got an answer. */
  live: undefined,
  dialog: undefined,
  said: "",
  /** The delivery that is unfolded. */
  opened: undefined,
  /** The id of the delivery pointed at in the picture. */
  pointed: undefined,
  /** Event ids of the pings sent, by endpoint. */
  pings: new Map(),
  filter: { type: "", state: "" },
  /** Cursors of the pages turned to, by list. */
  pages: new Map(),
};

const answers = new Map();
const errors = new Map();
const readAt = new Map();
let needs = () => [];
let draw = () => {};
// Answers to requests made before a change may be older than it: they are dropped.
let generation = 0;
let timer;
let loop = 0;
let quick = 0;

/** Sets how the page is drawn, and which paths (or {path, every} in ms) it needs in its current state. */
export function setUp(drawing, needing) {
  draw = drawing;
  needs = needing;
}

/** The newest answer of a path; undefined before the first. */
export const answer = (path) => answers.get(path);

/** Why the last request for a path failed; undefined if it did not. */
export const failure = (path) => errors.get(path);

/** Changes the state and draws it. */
export function change(patch) {
  Object.assign(state, patch);
  draw();
}

async function read(path, mine) {
  try {
    const got = await ask("GET", path);
    if (mine !== generation) return true;
    answers.set(path, got);
    errors.delete(path);
    return true;
  } catch (error) {
    if (mine !== generation) return true;
    if (error.status === 401) state.ended = error;
    if (error.status === 404) answers.delete(path);
    errors.set(path, error);
    // The server itself answered.
    return error.status !== 0 && error.status !== 429;
  } finally {
    if (mine === generation) readAt.set(path, Date.now());
    draw();
  }
}

function due() {
  const now = Date.now();
  const wanted = needs().map((need) =>
    typeof need === "string" ? { path: need, every: 0 } : need,
  );
  const at = ({ path }) => readAt.get(path) ?? 0;
  const spare = wanted
    .filter(({ every, path }) => every > 0 && now - at({ path }) >= every)
    .sort((a, b) => at(a) - at(b))
    .slice(0, SPARE_QUESTIONS);
  return [...wanted.filter(({ every }) => every === 0), ...spare].map(({ path }) => path);
}

/** Reads what is needed now, and regularly while the page is visible. */
export async function look() {
  clearTimeout(timer);
  const mine = ++loop;
  if (document.visibilityState !== "visible" || state.ended) return;
  const paths = due();
  const answered = await Promise.all(paths.map((path) => read(path, generation)));
  if (mine !== loop) return;
  const live = answered.length === 0 || answered.includes(true);
  change({ live });
  // What an answer made necessary, such as a delivery's attempts, is read at once.
  const more = due().some((path) => !readAt.has(path));
  quick = Math.max(0, quick - 1);
  const pause = live ? (quick > 0 ? QUICK_MS : INTERVAL_MS) : TROUBLE_MS;
  timer = setTimeout(look, more && live ? 0 : pause);
}

/** Reads more often for a while: something is about to happen. */
export function lookSoon() {
  quick = QUICK_LOOKS;
  void look();
}

/** Changes something through the API, then reads the result. Returns the answer. Throws ApiError. */
export async function act(method, path, body) {
  try {
    return await ask(method, path, body);
  } catch (error) {
    if (error.status === 401) change({ ended: error });
    throw error;
  } finally {
    generation++;
    lookSoon();
  }
}

/** Like `act`, for a button: shows how it went. */
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

/** Starts again with a new token. */
export function begin() {
  generation++;
  for (const known of [answers, errors, readAt]) known.clear();
  Object.assign(state, { ended: undefined, live: undefined, opened: undefined, dialog: undefined });
  draw();
  void look();
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
