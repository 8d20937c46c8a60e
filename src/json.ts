/** What JSON.parse would change without a word: repeated names, and numbers that no double holds. */

// A string without an end is a token, too: looked for again from each quote in it, it would take seconds.
const TOKEN = /"(?:[^"\\]|\\.)*"?|-?\d[\d.eE+-]*|[{}[\]]/gs;
/** Any double keeps this many decimal digits. */
const EXACT_DIGITS = 15;
/** Longer than any number that is written with 15 digits and zeros around them. */
const NUMBER_MAX_CHARS = 400;

/**
 * What a parser may read in two ways in this text (RFC 8259, sections 4 and 6), or undefined. Of text
 * that is no JSON it may say anything: that is refused in any case.
 */
export function ambiguity(text: string): string | undefined {
  // The names of each object that is open; null for an array.
  const open: (Set<string> | null)[] = [];
  for (const match of text.matchAll(TOKEN)) {
    const [token] = match;
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    else if (!token.startsWith('"')) {
      if (!isExact(token)) return "a number has more digits than can be kept";
    } else if (isName(text, match.index + token.length)) {
      const names = open.at(-1);
      const name = unescaped(token);
      if (names?.has(name)) return `the name ${JSON.stringify(name)} is there twice`;
      names?.add(name);
    }
  }
  return undefined;
}

/** Whether the string that ends at `end` is a member's name: a colon follows. */
function isName(text: string, end: number): boolean {
  let at = end;
  while (/\s/.test(text.charAt(at))) at++;
  return text.charAt(at) === ":";
}

function unescaped(token: string): string {
  if (!token.includes("\\")) return token.slice(1, -1);
  try {
    return JSON.parse(token) as string;
  } catch {
    return token;
  }
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
