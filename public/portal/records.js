// The endpoints' records and the catalogue of event types, which several views use.
import { answer, answeredAt, failure, load, need, state } from "./store.js";
import { isFailing } from "./words.js";

/** All endpoints: an owner has at most this many. */
export const ENDPOINTS = "/endpoint?limit=1000";
/** Every event type, with an example. */
export const TYPES = "/event/type";
/** The records are also read this long after the last time: another page may have changed them. */
const STALE_MS = 60_000;
/** The same while a change is being carried out. */
const MOVING_MS = 10_000;

/** All endpoints; undefined before the first answer. */
export const endpoints = () => answer(ENDPOINTS)?.data;

/** An endpoint's record, if it is known. */
export const endpointOf = (id) => endpoints()?.find((one) => one.id === id);

/** What to call an endpoint: its name, or the id of one that is not there any more. */
export const nameOf = (id) => endpointOf(id)?.name ?? id;

/** All event types; undefined before the first answer. */
export const types = () => answer(TYPES)?.data;

/** Whether polls say that more or fewer fail than the records do. */
const isOutdated = () =>
  endpoints() !== undefined &&
  state.failing !== undefined &&
  state.failing.endpoints !== tallyEndpoints().failing;

/** Reads the records if those that fail have changed, or what is known is old. */
export function refreshEndpoints(failingChanged) {
  const age = Date.now() - answeredAt(ENDPOINTS);
  const isMoving = endpoints()?.some(
    ({ pending, status, held }) => pending || (status === "active" && held),
  );
  const isOld = age > (isMoving || isOutdated() || failure(ENDPOINTS) ? MOVING_MS : STALE_MS);
  if (failingChanged || isOld) void load(ENDPOINTS);
}

/** The same for a view that comes to the front. */
export const enterEndpoints = () => refreshEndpoints(isOutdated());

/** Reads what names need. */
export const needNames = () => need(ENDPOINTS, TYPES);

/** How many endpoints fail, of how many. */
export function tallyEndpoints() {
  const all = endpoints() ?? [];
  return { all: all.length, failing: all.filter(isFailing).length };
}
