// Formats values for display.

const UNITS = [
  [86_400_000, "day"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** A span of milliseconds in its largest whole unit: "45 s", "3 min", "2 days". */
export function span(ms) {
  for (const [size, unit] of UNITS) {
    if (ms < size) continue;
    const count = Math.floor(ms / size);
    return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
  }
  return "0 s";
}

/** How long ago, or how soon. */
export function relative(iso, now = Date.now()) {
  const ms = now - Date.parse(iso);
  if (ms < -1_000) return `in ${span(-ms)}`;
  return ms < 2_000 ? "just now" : `${span(ms)} ago`;
}

/** Date and time of day, to the second. */
export function exact(iso) {
  return new Date(iso).toLocaleString(undefined, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });
}

/** The time between two instants: "120 ms", "1.2 s". */
export function between(from, to) {
  const ms = Math.max(0, Date.parse(to) - Date.parse(from));
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** "1 event", "2 events". */
export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString()} ${number === 1 ? one : many}`;

/** A delivery's status as a tone: good, bad, waiting or off. */
export function tone(status) {
  if (status === "Success") return "good";
  if (status === "Failure") return "bad";
  return status === "Discarded" ? "off" : "waiting";
}
