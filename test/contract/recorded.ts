// The calls recorded on the real Convoy, and how to send one of them again.
import calls from "./recorded/recorded-calls.json" with { type: "json" };
import more from "./recorded/recorded-more.json" with { type: "json" };

/** One call of a recording; the outage calls have no body and no headers. */
export type RecordedCall = {
  note: string;
  request: { method: string; path: string; headers?: Record<string, string>; body?: unknown };
  response: { status: number; headers?: Record<string, string>; body: unknown };
};

/** recorded-calls.json: 54 calls. */
export const RECORDED_CALLS = calls as unknown as RecordedCall[];
/** recorded-more.json: 81 calls. */
export const RECORDED_MORE = more as unknown as RecordedCall[];

/** JSON with the spaces that the recording's client wrote, since Convoy keeps bytes as they come. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(
      ([name, member]) => `${JSON.stringify(name)}: ${spacedJson(member)}`,
    );
    return `{${members.join(", ")}}`;
  }
  return JSON.stringify(value);
}
