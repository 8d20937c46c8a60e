/** Reads one setting's value: what is plain is taken as it was meant, anything else refused with words. */
import { isLoopback } from "./loopback.ts";

/** A value that cannot be taken. The message follows the setting's name: "must be …". */
export class BadValue extends Error {}

/** Text without white space around it. */
export function text(given: unknown): string {
  if (typeof given === "string") return given.trim();
  throw new BadValue("must be text, in quotes.");
}

/** Text that a header can carry: a key with a line break or a curly quote would fail in every call. */
export function key(given: unknown): string {
  const value = text(given);
  if (/^[!-~]+$/.test(value)) return value;
  throw new BadValue("must be printable ASCII without spaces: copy it again.");
}

/** Fewest bytes of a secret: HS256 requires a key as long as its hash (RFC 7518, 3.2). */
const SECRET_MIN_BYTES = 32;

/** A secret's bytes. White space around it does not count as strength: a botched copy leaves it. */
export function secret(given: unknown): Uint8Array {
  const encoder = new TextEncoder();
  if (encoder.encode(text(given)).length >= SECRET_MIN_BYTES) return encoder.encode(String(given));
  throw new BadValue(
    `must be at least ${SECRET_MIN_BYTES} bytes long: \`openssl rand -base64 32\` makes one.`,
  );
}

/** A whole number: a number, or digits. */
export function whole(min: number, max: number) {
  return (given: unknown): number => {
    const written = typeof given === "number" ? String(given) : text(given);
    const value = /^\d{1,15}$/.test(written) ? Number(written) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new BadValue(`must be a whole number from ${min} to ${max}, without a unit.`);
  };
}

/** One of the words, exactly as written: almost right must not open anything. */
export function word<T extends string>(...words: T[]) {
  return (given: unknown): T => {
    const found = words.find((one) => one === given);
    if (found !== undefined) return found;
    throw new BadValue(`must be ${words.map((one) => `"${one}"`).join(" or ")}.`);
  };
}

/** "on" or "off", or a TOML boolean. */
export function onOff(given: unknown): boolean {
  return typeof given === "boolean" ? given : word("on", "off")(given) === "on";
}

/** Entries separated by commas, or a TOML list of them. */
function entries(given: unknown): string[] {
  const parts: unknown[] = Array.isArray(given) ? given : text(given).split(",");
  return parts.map(text).filter((part) => part !== "");
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
function address(given: unknown): URL {
  const value = text(given);
  const url = /^https?:\/\//i.test(value) ? URL.parse(value) : null;
  if (!url) throw new BadValue("must be an http or https address.");
  if (url.username || url.password) throw new BadValue("must not contain credentials.");
  if (value.includes("#")) throw new BadValue("must not contain a fragment (#…).");
  return url;
}

/** An address that nobody on the way can change the answer of: https, or this machine. */
export function safeAddress(given: unknown): string {
  const url = address(given);
  if (url.protocol === "https:" || isLoopback(url.hostname)) return url.href;
  throw new BadValue("must be an https address.");
}

/** Convoy's API without a slash at the end: paths follow it. */
export function apiAddress(given: unknown): string {
  const url = address(given);
  if (String(given).includes("?")) throw new BadValue("must not contain a query (?…).");
  const path = url.pathname.replace(/\/+$/, "");
  if (!path.endsWith("/v1")) return url.origin + path;
  throw new BadValue('must end before "/v1", as in https://us.getconvoy.cloud/api.');
}

/** What is wrong with a setting, as a sentence that begins with its name or says what is missing. */
export type Refusal<Name extends string> = { name: Name; sentence: string };

/** Reads settings by name. */
export type Reader<Name extends string> = {
  /** Whether it is set to anything but white space. */
  has: (name: Name) => boolean;
  /** What `read` makes of it; if it is not set, or if it cannot be taken, which is noted: `otherwise`. */
  take: <T, O>(name: Name, read: (given: unknown) => T, otherwise: O) => T | O;
  /** Notes a whole sentence about it. */
  refuse: (name: Name, sentence: string) => void;
};

/** A reader of `env` that notes what is wrong in `refusals`. */
export function readerOf<Name extends string>(
  env: { readonly [name in Name]?: unknown },
  refusals: Refusal<Name>[],
): Reader<Name> {
  const has = (name: Name) => {
    const given = env[name] ?? "";
    return typeof given !== "string" || given.trim() !== "";
  };
  const refuse = (name: Name, sentence: string) => void refusals.push({ name, sentence });
  return {
    has,
    refuse,
    take(name, read, otherwise) {
      if (!has(name)) return otherwise;
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
