// What node:sqlite does not expose: a statement's parameters, and the names of SQLite's error codes.
// Only for the D1 double in d1-sqlite.ts.

/** A token that is a parameter or may hide one: strings, quoted names and comments, which are skipped. */
const TOKEN =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\?\d*|[:@$][A-Za-z_]\w*/g;

/**
 * The names of a statement's parameters, in order; `null` for `?` and `?N`, which are
 * positional. Numbered as SQLite numbers them (https://sqlite.org/lang_expr.html#varparam): `?` is one
 * more than the largest so far, `?N` is N, a repeated name is the same parameter.
 */
export function parameterNames(sql: string): (string | null)[] {
  const names: (string | null)[] = [];
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === "?") {
      names.push(null);
    } else if (token[0] === "?") {
      while (names.length < Number(token.slice(1))) names.push(null);
    } else if (/^[:@$]/.test(token) && !names.includes(token)) {
      names.push(token);
    }
  }
  return names;
}

const CODES: Record<number, string> = {
  1: "SQLITE_ERROR",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  9: "SQLITE_INTERRUPT",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  17: "SQLITE_SCHEMA",
  18: "SQLITE_TOOBIG",
  19: "SQLITE_CONSTRAINT",
  20: "SQLITE_MISMATCH",
  25: "SQLITE_RANGE",
};

const EXTENDED: Record<number, string> = {
  275: "SQLITE_CONSTRAINT_CHECK",
  787: "SQLITE_CONSTRAINT_FOREIGNKEY",
  1299: "SQLITE_CONSTRAINT_NOTNULL",
  1555: "SQLITE_CONSTRAINT_PRIMARYKEY",
  1811: "SQLITE_CONSTRAINT_TRIGGER",
  2067: "SQLITE_CONSTRAINT_UNIQUE",
  2579: "SQLITE_CONSTRAINT_ROWID",
  3091: "SQLITE_CONSTRAINT_DATATYPE",
};

/**
 * The message of an error as workerd words it: SQLite's text and the names of its codes, such as
 * `UNIQUE constraint failed: t.v: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)`. Only
 * workerd's ` at offset N` of a syntax error is left out: node:sqlite does not give it.
 */
export function errorMessage(error: unknown): string {
  const { message, errcode } = error as { message?: string; errcode?: number };
  if (errcode === undefined) return message || String(error);
  const extended = EXTENDED[errcode] ? ` (extended: ${EXTENDED[errcode]})` : "";
  return `${message}: ${CODES[errcode & 0xff] ?? "SQLITE_ERROR"}${extended}`;
}
