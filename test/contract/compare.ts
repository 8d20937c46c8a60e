// Compares an answer with a recorded one: stable values exactly, ids by a one-to-one mapping, times by their shape.

const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const NO_TIME = "0001-01-01T00:00:00Z";
const MADE_UP_SECRET = /^[\w-]{25}$/;
const ADVANCED_SIGNATURE = /^t=\d+(,v1=[0-9a-f]{64})+$/;
const HTTP_DATE = /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/;

/** Which of our ids stands for which recorded one; filled as answers are compared. */
export class Ids {
  readonly #ours = new Map<string, string>();
  readonly #theirs = new Map<string, string>();

  /** Notes a pair, or checks it against what was noted; false if the two cannot be the same thing. */
  pair(theirs: string, ours: string): boolean {
    if (!this.#ours.has(theirs) && !this.#theirs.has(ours)) {
      this.#ours.set(theirs, ours);
      this.#theirs.set(ours, theirs);
    }
    return this.#ours.get(theirs) === ours && this.#theirs.get(ours) === theirs;
  }

  /** A text with every recorded id replaced by ours. */
  translate(text: string): string {
    return text.replace(/[0-9A-HJKMNP-TV-Z]{26}/g, (id) => this.#ours.get(id) ?? id);
  }
}

function isSameText(ids: Ids, theirs: string, ours: string): boolean {
  if (theirs === ours) return true;
  if (ULID.test(theirs)) return ULID.test(ours) && ids.pair(theirs, ours);
  if (TIME.test(theirs)) return theirs !== NO_TIME && ours !== NO_TIME && TIME.test(ours);
  if (ADVANCED_SIGNATURE.test(theirs))
    return ADVANCED_SIGNATURE.test(ours) && theirs.length === ours.length;
  if (HTTP_DATE.test(theirs)) return HTTP_DATE.test(ours);
  return MADE_UP_SECRET.test(theirs) && MADE_UP_SECRET.test(ours);
}

/** Every difference between a recorded value and ours, each with its path; empty if they match. */
export function differences(ids: Ids, theirs: unknown, ours: unknown, path = "body"): string[] {
  const differ = () => [
    `${path}: recorded ${JSON.stringify(theirs)}, here ${JSON.stringify(ours)}`,
  ];
  if (Array.isArray(theirs)) {
    if (!Array.isArray(ours)) return differ();
    const lengths =
      theirs.length === ours.length
        ? []
        : [`${path}: recorded ${theirs.length} items, here ${ours.length}`];
    return [
      ...lengths,
      ...theirs.flatMap((item, at) => differences(ids, item, ours[at], `${path}[${at}]`)),
    ];
  }
  if (typeof theirs === "object" && theirs !== null) {
    if (typeof ours !== "object" || ours === null || Array.isArray(ours)) return differ();
    const names = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
    return [...names].flatMap((name) => {
      const [left, right] = [theirs, ours].map((one) => (one as Record<string, unknown>)[name]);
      return differences(ids, left, right, `${path}.${name}`);
    });
  }
  if (path.endsWith(".latency_seconds"))
    return typeof ours === "number" && (theirs === 0 ? ours === 0 : ours >= 0) ? [] : differ();
  if (typeof theirs === "string" && typeof ours === "string")
    return isSameText(ids, theirs, ours) ? [] : differ();
  return theirs === ours ? [] : differ();
}
