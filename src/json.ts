/** What JSON.parse would change without a word: repeated names, and numbers that no double holds. */

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|[{}[\]]/g;
/** Any double keeps this many decimal digits. */
const EXACT_DIGITS = 15;
/** Longer than any number that is written with 15 digits and zeros around them. */
const NUMBER_MAX_CHARS = 400;

/** What a parser may read in two ways in this JSON (RFC 8259, sections 4 and 6), or undefined. */
export function ambiguity(json: string): string | undefined {
  // The names of each object that is open; null for an array.
  const open: (Set<string> | null)[] = [];
  for (const [token, string, colon] of json.matchAll(TOKEN)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (string === undefined) {
      if (!isExact(token)) return "a number has more digits than can be kept";
    } else if (colon) {
      const names = open.at(-1);
      const name = JSON.parse(string) as string;
      if (names?.has(name)) return `the name ${JSON.stringify(name)} is there twice`;
      names?.add(name);
    }
  }
  return undefined;
}

function isExact(token: string): boolean {
  // Whole numbers beyond 2^53 are for the schema to refuse, by name.
  if (/^-?\d+$/.test(token)) return true;
  if (token.length > NUMBER_MAX_CHARS) return false;
  const value = Number(token);
  // An underflow: 1e-400 is read as 0.
  if (value === 0) return digitsOf(token) === 0;
  return Number.isFinite(value) && digitsOf(token) <= EXACT_DIGITS;
}

/** Significant digits of a number's text. */
function digitsOf(token: string): number {
  const [mantissa = ""] = token.split(/[eE]/);
  return mantissa.replace(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;
}
