// What statuses mean, and what to do about them.
import { count, exact, span } from "./format.js";

/** Statuses of a delivery, as the API has them. */
export const DELIVERY_STATUSES = ["failed", "dead", "held", "pending", "sending", "delivered"];

/** A delivery that has one of these does not change any more by itself. */
const FINAL = new Set(["delivered", "failed", "dead"]);

/** Whether nothing happens to a delivery unless it is sent again. */
export const isFinal = ({ status }) => FINAL.has(status);

const TONES = {
  ...{ delivered: "good", failed: "bad", dead: "bad", held: "off", none: "off" },
  ...{ pending: "waiting", sending: "info" },
};

/** The tone of a status of a delivery or an event. */
export const toneOf = (status) => TONES[status] ?? "off";

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** What a delivery's status means, and what comes next. */
export function meaningOf({ status, error, attempts }) {
  const why = error ? `${sentence(error)} ` : "";
  switch (status) {
    case "pending":
      return error
        ? `Not sent yet: ${why}It is tried again by itself.`
        : "Not sent yet: it will be in a moment.";
    case "sending":
      return attempts > 0
        ? `${why}The receiver has not accepted it yet; it is tried again by itself.`
        : "On its way to the receiver.";
    case "held":
      return "Held: its endpoint is paused, disabled or missing. It is sent once the endpoint is active again.";
    case "delivered":
      return "The receiver accepted it.";
    case "failed":
      return `${why}The receiver never accepted it. Once the receiver is fixed, send it again.`;
    case "dead":
      return `${why}It was given up before the receiver got it.`;
    default:
      return "";
  }
}

/** The receiver's last answer, or why there was none; "" if nothing is known. */
export const lastAnswer = ({ last_http_status: http, error }) =>
  error || (http === null ? "" : `HTTP ${http}`);

/** What a receiver answered to a try, or why there was no answer. */
export const outcome = ({ http_status: http, error }) =>
  http ? `HTTP ${http}` : error || "No answer";

/** What an event's status says about its deliveries. */
export function sumOf({ status, deliveries }) {
  if (status === "none") return "No endpoint wanted it";
  return DELIVERY_STATUSES.filter((one) => deliveries[one] > 0)
    .map((one) => `${deliveries[one]} ${one}`)
    .join(", ");
}

const ENDPOINT_TONES = { active: "good", paused: "off", disabled: "bad", missing: "bad" };

/** Whether an endpoint's deliveries fail at present. */
export const isFailing = ({ failing_since: since }) => since !== undefined && since !== null;

/** An endpoint's pill: [tone, word]. */
export function endpointPill(endpoint) {
  const { status, pending } = endpoint;
  if (status === "active" && isFailing(endpoint)) return ["bad", "failing"];
  return [pending ? "waiting" : (ENDPOINT_TONES[status] ?? "off"), status];
}

const waitsFor = ({ held = 0 }) =>
  held > 0
    ? ` ${count(held, "delivery waits", "deliveries wait")} for it.`
    : " Nothing waits for it.";

/** Notes about an endpoint, worst first: [tone, text]. */
export function notesOf(endpoint) {
  const notes = [];
  const { status, pending, error, failing_since: since, failing_error: why } = endpoint;
  if (status === "disabled") {
    notes.push([
      "bad",
      `It was turned off after too many failures, so nothing is sent to it. Fix the receiver, then activate it.${waitsFor(endpoint)}`,
    ]);
  }
  if (status === "missing") {
    notes.push([
      "bad",
      `The delivery service no longer knows it, so nothing is sent to it.${waitsFor(endpoint)} If it does not come back, remove it and add it again.`,
    ]);
  }
  if (isFailing(endpoint)) {
    const ago = span(Math.max(0, Date.now() - Date.parse(since)));
    notes.push([
      "bad",
      `Failing for ${ago}, since ${exact(since)}${why ? `: ${sentence(why)}` : "."}`,
    ]);
  }
  if (status === "paused") {
    notes.push([
      "off",
      `Paused: what happens meanwhile is held, and sent once you activate it.${waitsFor(endpoint)}`,
    ]);
  }
  if (status === "active" && endpoint.held > 0) {
    notes.push([
      "waiting",
      `${count(endpoint.held, "held delivery is", "held deliveries are")} being sent.`,
    ]);
  }
  if (pending) {
    notes.push([
      "waiting",
      `Your last change is saved, but not in force yet${error ? `: ${sentence(error)}` : "."} It is carried out by itself.`,
    ]);
  } else if (error) notes.push(["waiting", sentence(error)]);
  return notes;
}
