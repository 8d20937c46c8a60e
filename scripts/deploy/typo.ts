/** Whether one name was meant where another was written. */

/** The same but for dashes, or with a typo: two letters of a long name. */
export function isClose(written: string, name: string): boolean {
  const [a, b] = [squashed(written), squashed(name)];
  return a === b || (Math.min(a.length, b.length) >= 5 && distance(a, b) <= 2);
}

function squashed(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

/** Letters to add, take out or change to make one text of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(same, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
