// What the page shows, and how it is drawn.

/** What is shown. Only `change` changes it. */
export const state = {
  /** The newest deliveries that match the filter. */
  deliveries: [],
  filter: { q: "", type: "", status: "", endpoint: "" },
  unread: new Set(),
  /** The URLs of the endpoints that have been seen, by id. */
  endpoints: new Map(),
  /** The event types that have been seen. */
  types: new Set(),
  selected: undefined,
  /** The selected delivery with its attempts. */
  detail: undefined,
  /** How a body is shown: pretty or raw. */
  bodyView: "pretty",
  connected: undefined,
  faults: {},
  settings: undefined,
  /** What the dialog asks: faults or clear. */
  dialog: undefined,
  said: "",
};

/** Changes within this time are drawn together. */
const DRAW_MS = 30;
/** How long a message is shown. */
const SAID_MS = 3_000;

let draw = () => {};
let drawTimer;
let saidTimer;

/** Sets how the page is drawn. */
export function onChange(drawing) {
  draw = drawing;
}

/** Changes what is shown, and draws it. */
export function change(patch) {
  Object.assign(state, patch);
  clearTimeout(drawTimer);
  drawTimer = undefined;
  draw();
}

/** Draws soon: many deliveries may come at once. */
export function drawSoon() {
  drawTimer ??= setTimeout(() => change({}), DRAW_MS);
}

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
    say("The browser did not allow copying");
  }
}

/** Whether the list leaves deliveries out. */
export const isFiltered = () => Object.values(state.filter).some((value) => value.trim() !== "");
