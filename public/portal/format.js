// Formats values for display, for the portal and the inbox. One locale: words, digits and dates agree.
const LOCALE = "en";

const UNITS = [
  [86_400_000, "day"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const time = new Intl.DateTimeFormat(LOCALE, CLOCK);
const dateTime = new Intl.DateTimeFormat(LOCALE, {
  ...{ year: "numeric", month: "short", day: "numeric", timeZoneName: "short" },
  ...CLOCK,
});

/** A number with its digits grouped: "1,240". */
export const number = (value) => value.toLocaleString(LOCALE);

/** "1 event", "1,240 events". */
export const count = (value, one, many = `${one}s`) =>
  `${number(value)} ${value === 1 ? one : many}`;

/** A span of milliseconds in its largest whole unit: "45 s", "3 min", "2 days". */
export function span(ms) {
  for (const [size, unit] of UNITS) {
    if (ms < size) continue;
    const many = Math.floor(ms / size);
    return `${number(many)} ${unit}${unit === "day" && many > 1 ? "s" : ""}`;
  }
  return "0 s";
}

/** How long ago, or how soon. */
export function relative(iso, now = Date.now()) {
  const ms = now - Date.parse(iso);
  if (ms < -1_000) return `in ${span(-ms)}`;
  return ms < 2_000 ? "just now" : `${span(ms)} ago`;
}

/** When something is to happen: what should have happened already happens any moment. */
export const upcoming = (iso, now = Date.now()) =>
  Date.parse(iso) - now < 1_000 ? "any moment" : relative(iso, now);

/** The time of day; with date, year and zone where it is not today's. */
export function exact(iso) {
  const at = new Date(iso);
  return (at.toDateString() === new Date().toDateString() ? time : dateTime).format(at);
}

/** A duration: "120 ms", "1.2 s". */
export const took = (ms) => (ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`);

/** The time between two instants. */
export const between = (from, to) => took(Math.max(0, Date.parse(to) - Date.parse(from)));

/** A URL without its scheme, for narrow places. */
export const shortUrl = (url) => url.replace(/^https?:\/\//, "");
