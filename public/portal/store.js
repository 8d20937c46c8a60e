// What the page knows: answers of the API by their path, kept fresh while somebody looks.
import { ask } from "./api.js";

/** From one look to the next. */
const INTERVAL_MS = 2_000;
/** The same while something is expected any moment, and for how many looks. */
const QUICK_MS = 500;
const QUICK_LOOKS = 16;
/** After a failure of all of a look's questions. */
const TROUBLE_MS = 5_000;
/** Questions that may wait (`every`) of one look: a long list of endpoints is asked about bit by bit. */
const SPARE_QUESTIONS = 6;
/** How long something is said. */
const SAID_MS = 4_000;

/** What is shown, besides the API's answers. Changed by `change` alone. */
export const state = {
  route: { view: "endpoints" },
  /** The 401 that ended it. */
  ended: undefined,
  /** Whether the last look got an answer. */
  live: undefined,
  dialog: undefined,
  said: "",
  /** The delivery that is unfolded: {endpoint, id}. */
  opened: undefined,
  /** The delivery that is pointed at in the picture. */
  pointed: undefined,
  /** Event ids of the pings that were sent, by endpoint. */
  pings: new Map(),
  filter: { type: "", state: "" },
  /** Cursors of the pages that were turned, by list. */
  pages: new Map(),
};

const answers = new Map();
const errors = new Map();
const readAt = new Map();
let needs = () => [];
let draw = () => {};
// Answers to what was asked before a change may be older than the change: they are dropped.
let generation = 0;
let timer;
let loop = 0;
let quick = 0;

/** Sets how the page is drawn, and which paths (or {path, every} in ms) it needs in its present state. */
export function setUp(drawing, needing) {
  draw = drawing;
  needs = needing;
}

/** The newest answer of a path; undefined before the first. */
export const answer = (path) => answers.get(path);

/** Why the last question for a path failed; undefined where it did not. */
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

/** Looks now, and from now on as long as the page is seen. */
export async function look() {
  clearTimeout(timer);
  const mine = ++loop;
  if (document.visibilityState !== "visible" || state.ended) return;
  const paths = due();
  const answered = await Promise.all(paths.map((path) => read(path, generation)));
  if (mine !== loop) return;
  const live = answered.length === 0 || answered.includes(true);
  change({ live });
  // What an answer made needed, as a delivery's attempts, is asked for at once.
  const more = due().some((path) => !readAt.has(path));
  quick = Math.max(0, quick - 1);
  const pause = live ? (quick > 0 ? QUICK_MS : INTERVAL_MS) : TROUBLE_MS;
  timer = setTimeout(look, more && live ? 0 : pause);
}

/** Looks more often for a while: something is about to happen. */
export function lookSoon() {
  quick = QUICK_LOOKS;
  void look();
}

/** Changes something through the API, and looks at what became of it. Gives the answer. Throws ApiError. */
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

/** As `act`, for a button: says how it went. */
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

/** Goes on after an end: another token is here. */
export function begin() {
  generation++;
  for (const known of [answers, errors, readAt]) known.clear();
  Object.assign(state, { ended: undefined, live: undefined, opened: undefined, dialog: undefined });
  draw();
  void look();
}

let saidTimer;

/** Says something briefly, at the bottom of the page. */
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
    say("The browser did not allow copying: select it and copy it by hand");
  }
}
