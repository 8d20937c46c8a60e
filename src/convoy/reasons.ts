/** Convoy's words, and which of them may be shown. */
import type { Answer, Failure } from "./client.ts";

// What Convoy says of an endpoint that its caller can mend (recorded, and Convoy's validation in its source).
const MENDABLE_REASONS = [
  /^endpoint url must [a-z ]+$/,
  /^Invalid (request format|input provided)$/,
  /^(url|name):please provide [a-zA-Z ]+(, (url|name):please provide [a-zA-Z ]+)?$/,
  /^please provide the endpoint url$/,
  /^only https endpoints allowed$/,
  /^invalid endpoint scheme$/,
  /^cannot use localhost or 127\.0\.0\.1$/,
  /^endpoint URL templates? [a-z ]+$/,
];

// Other words of Convoy that hold no secret; whatever is not listed may name hosts or users.
const KNOWN_REASONS = [
  ...MENDABLE_REASONS,
  /^endpoint not found$/,
  /^a subscription for this endpoint already exists$/,
  /^(data|event_type|owner_id):please provide [a-z ]+$/,
  /^current endpoint status - [a-z]+, does not support activation$/,
  /^no subscription matched this event$/,
  /^authorization failed$/,
  /^Access denied$/,
];

/**
 * Why the caller's endpoint was refused, where the caller can mend it; else null. A failed ping of the
 * URL is told in our words, since Convoy's name what it met there.
 */
export function mendableReason(answer: Answer<unknown>): string | null {
  if (answer.ok || answer.status !== 400) return null;
  if (/^(failed to ping tls endpoint|endpoint validation failed)\b/.test(answer.message)) {
    return "Convoy could not reach the URL: it must answer over https with a valid certificate";
  }
  return MENDABLE_REASONS.some((reason) => reason.test(answer.message)) ? answer.message : null;
}

/** A failure in words that are safe to store and show: Convoy's own only where known to hold no secret. */
export function shownReason(answer: Failure): string {
  if (answer.status === null) {
    return answer.message === "TimeoutError"
      ? "Convoy did not answer in time"
      : "Convoy not reachable";
  }
  const known = KNOWN_REASONS.some((reason) => reason.test(answer.message));
  return `Convoy answered ${answer.status}${known ? `: ${answer.message}` : ""}`;
}
