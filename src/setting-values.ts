/** Reads one setting's value: what is plain is taken as it was meant, anything else refused with words. */
import { isLoopback } from "./loopback.ts";

/** A value that cannot be taken. The message follows the setting's name: "must be …". */
export class BadValue extends Error {}

/** Text without white space around it; undefined if it is empty or not set. */
export function text(given: unknown): string | undefined {
  if (given === undefined || given === null) return undefined;
  if (typeof given !== "string") throw new BadValue("must be text, in quotes.");
  return given.trim() || undefined;
}

/** Text that a header can carry: a key with a line break or a curly quote would fail in every call. */
export function key(given: unknown): string | undefined {
  const value = text(given);
  if (value === undefined || /^[!-~]+$/.test(value)) return value;
  throw new BadValue("must be printable ASCII without spaces: copy it again.");
}

/** Fewest bytes of a secret: HS256 requires a key as long as its hash (RFC 7518, 3.2). */
const SECRET_MIN_BYTES = 32;

/** A secret's bytes. White space around it does not count as strength: a botched copy leaves it. */
export function secret(given: unknown): Uint8Array | undefined {
  const trimmed = text(given) ?? "";
  if (given === undefined || given === null || given === "") return undefined;
  const encoder = new TextEncoder();
  if (encoder.encode(trimmed).length >= SECRET_MIN_BYTES) return encoder.encode(String(given));
  throw new BadValue(
    `must be at least ${SECRET_MIN_BYTES} bytes long: \`openssl rand -base64 32\` makes one.`,
  );
}

/** A whole number: a number, or digits. */
export function whole(given: unknown, otherwise: number, min: number, max: number): number {
  const written = typeof given === "number" ? String(given) : text(given);
  if (written === undefined) return otherwise;
  const value = /^\d{1,15}$/.test(written) ? Number(written) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new BadValue(`must be a whole number from ${min} to ${max}, without a unit.`);
}

/** One of the words, exactly as written: almost right must not open anything. */
export function word<T extends string>(given: unknown, words: readonly T[]): T | undefined {
  if (given === undefined || given === null || given === "") return undefined;
  const found = words.find((one) => one === given);
  if (found !== undefined) return found;
  throw new BadValue(`must be ${words.map((one) => `"${one}"`).join(" or ")}.`);
}

/** "on" or "off", or a TOML boolean. */
export function onOff(given: unknown, otherwise: boolean): boolean {
  if (typeof given === "boolean") return given;
  const found = word(given, ["on", "off"]);
  return found === undefined ? otherwise : found === "on";
}

/** Entries separated by commas, or a TOML list of them. */
function entries(given: unknown): string[] {
  const parts: unknown[] = Array.isArray(given) ? given : (text(given) ?? "").split(",");
  return parts.flatMap((part) => text(part) ?? []);
}

const ORIGINS =
  "must list origins such as https://app.example, separated by commas: scheme and host, no path.";

/** Origins as browsers send them: lower case, without a default port or a slash at the end. */
export function origins(given: unknown): string[] {
  return entries(given).map((entry) => {
    if (entry.includes("*")) throw new BadValue(`${ORIGINS} There is no *: name each one.`);
    const url = /^[a-z][a-z\d+.-]*:\/\/[^/?#@\\\s]+\/?$/i.test(entry) ? URL.parse(entry) : null;
    if (!url?.host) throw new BadValue(ORIGINS);
    // An app's own scheme (capacitor://localhost) has no URL.origin.
    return url.origin === "null" ? `${url.protocol}//${url.host.toLowerCase()}` : url.origin;
  });
}

const HOSTS = "must list host names such as todo.internal, separated by commas.";

/** Host names as a URL has them: lower case, without scheme, port, or a dot or slash at the end. */
export function hosts(given: unknown): string[] {
  return entries(given).map((entry) => {
    if (entry.includes("*")) throw new BadValue(`${HOSTS} There is no *: name each one.`);
    const host = entry.replace(/^https?:\/\//i, "").replace(/\/$/, "");
    const name = /[/?#@\\\s]/.test(host) ? undefined : URL.parse(`http://${host}`)?.hostname;
    if (!name) throw new BadValue(`${HOSTS} An IPv6 address is written [fd00::1].`);
    return name.replace(/\.$/, "");
  });
}

/** The address of a service: fetch takes none with credentials, and a fragment is never sent. */
export function address(given: unknown): URL | undefined {
  const value = text(given);
  if (value === undefined) return undefined;
  const url = /^https?:\/\//i.test(value) ? URL.parse(value) : null;
  if (!url) throw new BadValue("must be an http or https address.");
  if (url.username || url.password) throw new BadValue("must not contain credentials.");
  if (value.includes("#")) throw new BadValue("must not contain a fragment (#…).");
  return url;
}

/** An address that nobody on the way can change the answer of: https, or this machine. */
export function safeAddress(given: unknown): string | undefined {
  const url = address(given);
  if (!url || url.protocol === "https:" || isLoopback(url.hostname)) return url?.href;
  throw new BadValue("must be an https address.");
}

/** Convoy's API without a slash at the end: paths follow it. */
export function apiAddress(given: unknown): string | undefined {
  const url = address(given);
  if (!url) return undefined;
  if (url.search || String(given).includes("?"))
    throw new BadValue("must not contain a query (?…).");
  const path = url.pathname.replace(/\/+$/, "");
  if (/\/v1$/.test(path))
    throw new BadValue('must end before "/v1", as in https://us.getconvoy.cloud/api.');
  return url.origin + path;
}

/** Reads settings by name; what cannot be taken is noted, and `otherwise` stands for it. */
export type Reader<Name extends string> = {
  take: <T>(name: Name, read: (given: unknown) => T, otherwise: NoInfer<T>) => T;
  /** Whether it is set to anything but the empty text. */
  has: (name: Name) => boolean;
  /** Notes a whole sentence about it. */
  refuse: (name: Name, sentence: string) => void;
};

/** What is wrong with a setting, as a sentence that begins with its name or says what is missing. */
export type Refusal<Name extends string> = { name: Name; sentence: string };

/** A reader of `env` that notes what is wrong in `refusals`. */
export function readerOf<Name extends string>(
  env: { readonly [name in Name]?: unknown },
  refusals: Refusal<Name>[],
): Reader<Name> {
  const refuse = (name: Name, sentence: string) => void refusals.push({ name, sentence });
  return {
    refuse,
    has: (name) => env[name] !== undefined && env[name] !== null && env[name] !== "",
    take(name, read, otherwise) {
      try {
        return read(env[name]);
      } catch (error) {
        if (!(error instanceof BadValue)) throw error;
        refuse(name, `${name} ${error.message}`);
        return otherwise;
      }
    },
  };
}
